"""Which raw samples are stored: those around incidents, and all of the helmets under observation."""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from core.model import Detection, Frames
from ingest import codec
from ingest.codec import Message
from ingest.journal import Tick
from ingest.telemetry import sample_offsets_us, samples

AROUND_US = 10_000_000
"""How far before the first and after the last impact of an incident samples are kept."""
HISTORY_US = 25_000_000
"""How long raw messages are remembered: a decision may come 12 s after the impact."""
HISTORY_BYTES = 100_000_000
"""Most room that remembered raw messages take, whatever helmets put into them."""
_MESSAGE_BYTES = 300
"""What a message takes beside its payload: topic, time, and what Python adds to each."""
WATCHED_US = 120_000_000
"""For how long after the last word about an incident its helmet's frames are looked at."""


@dataclass(slots=True)
class _Window:
    """A stretch of device time whose samples are stored."""

    from_us: int
    until_us: int
    touched_us: int


class Sampler:
    """Chooses the samples of each turn; samples given out twice are the same, and stores keep one."""

    def __init__(self, observed: Callable[[int], Collection[str]], future_s: float) -> None:
        self._observed = observed
        self._future_s = future_s
        self._history: deque[tuple[int, int, list[Message]]] = deque()
        """Turns: their time, how many bytes they take, and their messages."""
        self._remembered_bytes = 0
        self._windows: dict[str, _Window] = {}
        self._opened: set[str] = set()
        """Helmets whose window began in the turn before; what came earlier is still to be given out."""

    def take(self, tick: Tick) -> npt.NDArray[np.void] | None:
        """The `SAMPLES` that one turn adds; None where there are none."""
        observed = self._observed(tick.now_us)
        found = []
        if self._opened:
            # Looking through all that is remembered takes long: not in the turn that raises the alert, but in the next.
            before = islice(self._history, len(self._history) - 1)
            earlier = [m for _, _, messages in before for m in messages if _helmet(m) in self._opened]
            found += list(self._inside(earlier))
        self._opened = self._open(tick)
        if observed or self._windows:
            wanted = [m for m in tick.raw if _helmet(m) in observed]
            found += [samples(frames) for frames in self._decode(wanted)]
            near = [m for m in tick.raw if _helmet(m) in self._windows and _helmet(m) not in observed]
            found += list(self._inside(near))
        self._remember(tick)
        return np.concatenate(found) if found else None

    def _open(self, tick: Tick) -> set[str]:
        """Opens or extends a window for each word about an incident; says which now begin earlier than before."""
        for helmet in [h for h, w in self._windows.items() if tick.now_us - w.touched_us > WATCHED_US]:
            del self._windows[helmet]
        opened = set()
        for helmet, first_us, last_us in _happenings(tick):
            from_us, until_us = first_us - AROUND_US, last_us + AROUND_US
            window = self._windows.get(helmet)
            if window is None or from_us > window.until_us or until_us < window.from_us:
                self._windows[helmet] = _Window(from_us, until_us, tick.now_us)
                opened.add(helmet)
                continue
            if from_us < window.from_us:
                window.from_us = from_us
                opened.add(helmet)
            window.until_us = max(window.until_us, until_us)
            window.touched_us = tick.now_us
        return opened

    def _inside(self, messages: list[Message]) -> Iterator[npt.NDArray[np.void]]:
        """The samples of the frames that lie in their helmet's window, at least in part."""
        for frames in self._decode(messages):
            ends_us = frames.t0_us + sample_offsets_us(frames)[:, -1]
            windows = [self._windows[helmet] for helmet in frames.helmet]
            until_us = np.array([window.until_us for window in windows])
            from_us = np.array([window.from_us for window in windows])
            rows = np.flatnonzero((frames.t0_us <= until_us) & (ends_us >= from_us))
            if len(rows):
                yield samples(frames.rows(rows))

    def _decode(self, messages: list[Message]) -> list[Frames]:
        return codec.decode_motion(messages, future_s=self._future_s).frames if messages else []

    def _remember(self, tick: Tick) -> None:
        size = sum(len(m.payload) for m in tick.raw) + _MESSAGE_BYTES * len(tick.raw)
        self._history.append((tick.now_us, size, tick.raw))
        self._remembered_bytes += size
        while self._history and (
            tick.now_us - self._history[0][0] > HISTORY_US or self._remembered_bytes > HISTORY_BYTES
        ):
            self._remembered_bytes -= self._history.popleft()[1]


def _happenings(tick: Tick) -> Iterator[tuple[str, int, int]]:
    """Helmet, first and last moment of whatever a turn has to say about incidents."""
    for detection in tick.detections:
        impacts_us = _impacts_us(detection)
        yield detection.helmet, min(impacts_us), max(impacts_us)
    for event in tick.events:
        if event.type == "sos":
            yield event.helmet, event.t_us, event.t_us


def _impacts_us(detection: Detection) -> list[int]:
    return [detection.occurred_us, *detection.impacts_us]


def _helmet(message: Message) -> str:
    """The helmet of a motion message whose topic was found right before."""
    return message.topic.split("/", 3)[2]
