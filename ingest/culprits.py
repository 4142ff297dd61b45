"""Finding the message that makes the worker raise: the broker would bring it again after every start."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from ingest.codec import Message
from ingest.journal_file import JournalError

_T = TypeVar("_T")


class Culprit(NamedTuple):
    """A message that alone makes the worker raise."""

    message: Message
    error: Exception


def work_through(
    messages: list[Message], work: Callable[[list[Message]], _T], begin_anew: Callable[[], None]
) -> Iterator[_T | Culprit]:
    """Works through messages by halves, in order; gives what `work` makes of each part, or the culprit.

    `work` makes a part durable or raises, which leaves it half done: `begin_anew` then brings back what is durable.
    """
    parts = [messages]
    while parts:
        part = parts.pop()
        try:
            found: _T | Culprit = work(part)
        except JournalError:
            raise
        except Exception as error:
            begin_anew()
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            found = Culprit(part[0], error)
        yield found
