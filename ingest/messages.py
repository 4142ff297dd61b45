"""The desk's messages to riders: they come with its answer to a report and go to the helmets as prompts."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from pydantic import TypeAdapter, ValidationError

from core.model import Prompt
from ingest import codec

log = structlog.get_logger()

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class _Message:
    id: str
    helmet: str
    text: str


@dataclass(frozen=True, slots=True)
class _Answer:
    prompts: list[_Message]


_ANSWER = TypeAdapter(_Answer)


class Messages:
    """Publishes each message once and remembers its id, which the next report names: then the desk stops.

    `publish` takes a topic and a payload, and says whether there was a connection to give them to.
    """

    def __init__(self, publish: Callable[[str, bytes], bool]) -> None:
        self._publish = publish
        self._ids: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def ids(self) -> list[str]:
        """The last messages that went to the broker."""
        return list(self._ids)

    def take(self, body: bytes) -> None:
        """Takes the desk's answer to a report; what cannot be read is no message."""
        try:
            given = _ANSWER.validate_json(body)
        except ValidationError:
            log.warning("desk.answer_unreadable")
            return
        for message in given.prompts:
            if message.id in self._ids:
                continue
            prompt = codec.encode_prompt(Prompt("remind", text=message.text))
            if self._publish(codec.topic(message.helmet, "prompt"), prompt):
                self._ids.append(message.id)
