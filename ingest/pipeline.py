"""From messages to what must be made durable: decode, sequence, detect. No I/O; a restart replays it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from core import metrics
from core.config import Config
from core.model import (
    Detection,
    Flag,
    Frames,
    HelmetEvent,
    HelmetReport,
    HelmetStatus,
    Kind,
    Prompt,
    Reason,
    Rejected,
    Worn,
)
from detectors import Breaker, Fleet
from detectors.burst import Held
from ingest import codec
from ingest.codec import Message
from ingest.event_rate import EventRate
from ingest.held import Burst
from ingest.journal import Tick
from ingest.riding import RidingOutbox
from ingest.sequence import Sequence
from ingest.telemetry import summarise

log = structlog.get_logger()

_LEARNED_S = 500.0
"""What all helmets' sensors have taught is noted once in so long, some helmets with each note of the numbers seen.

Sooner than a helmet's run ends by silence, so who is forgotten was noted before."""
_PUT_IT_ON = "请停车戴好头盔。Please stop and put your helmet on."


class Pipeline:
    """The state of all helmets of one worker."""

    def __init__(self, config: Config) -> None:
        self._config = config.ingest
        self._countdown_us = int(config.alerts.countdown_s * 1e6)
        self._sequence = Sequence(config.ingest.helmets_max, config.ingest.ancient_h * 3600)
        self._fleet = Fleet(config.detectors)
        self._breaker = Breaker(config.detectors.burst_alerts)
        # A third of what is kept of raw frames: what is replayed is at most a third longer than that.
        self._note_us = int(config.ingest.journal.raw_s / 3 * 1e6)
        self._noted_us = 0
        self._heard: dict[str, tuple[Frames, int]] = {}
        self._offline: dict[str, HelmetStatus] = {}
        self._faulty: dict[str, list[str]] = {}
        self._looked_us = 0
        self._event_rate = EventRate(config.ingest.events_per_min)
        self.riding = RidingOutbox()
        self.frames = 0
        self.rejected = 0
        self.lag_s = 0.0

    def process(self, messages: list[Message], now_us: int) -> tuple[Tick, list[tuple[str, Prompt]]]:
        """One turn: what it makes durable, and what to tell which helmet once it is."""
        tick, prompts = self._take(messages, now_us)
        with stage("detect"):
            sifted = self._breaker.sift(tick.detections, len(self._fleet), now_us)
        tick.detections, tick.held, tick.released, tick.withheld = sifted
        gone = [(d.kind, d.stage) for d in tick.detections] + [(h.kind, h.stage) for h in tick.released]
        for kind, reached in gone:
            metrics.DETECTIONS.labels(kind, reached).inc()
        metrics.SENSOR_HEALTH.labels("bursts").set(self._breaker.trips)
        metrics.SENSOR_HEALTH.labels("held").set(self._breaker.held)
        prompts += [self._ask(held) for held in tick.released if self._is_fresh(held, now_us)]
        prompts += [self._speak(d) for d in tick.detections if d.version == 1 and not d.late]
        return tick, prompts

    def replay(self, messages: list[Message], now_us: int) -> Tick:
        """A turn of an earlier life again: a burst is as it was when that life ended, whatever is detected again."""
        return self._take(messages, now_us)[0]

    def _take(self, messages: list[Message], now_us: int) -> tuple[Tick, list[tuple[str, Prompt]]]:
        tick = Tick(now_us)
        motion: list[Message] = []
        for message in messages:
            self._sort(message, tick, motion)
        with stage("decode"):
            decoded = codec.decode_motion(motion, future_s=self._config.future_s)
        tick.rejected += decoded.rejected
        bad = {id(message) for message, _ in decoded.rejected}
        tick.raw = [message for message in motion if id(message) not in bad] if bad else motion
        prompts = [received for frames in decoded.frames for received in _receipts(frames)]
        with stage("sequence"):
            sequenced = self._sequence.place(decoded.frames)
            sequenced.ended.extend(self._sequence.expire(now_us))
        with stage("detect"):
            for placed in sequenced.placed:
                tick.detections += self._fleet.push(placed.frames, placed.track, placed.index, now_us)
            tick.detections += self._fleet.forget(*sequenced.ended)
            tick.detections += self._fleet.advance(now_us)
            if abs(now_us - self._looked_us) >= self._config.report_s * 1e6:
                self._looked_us, self._faulty = now_us, self._fleet.faulty()
                self.riding.put(self._fleet.riding(now_us))
        with stage("telemetry"):
            kept = [placed.frames for placed in sequenced.placed] + sequenced.archive
            tick.telemetry = [summarise(frames) for frames in kept]
            self._note(kept, tick)
        if tick.raw and abs(now_us - self._noted_us) >= self._note_us:
            self._noted_us = now_us
            tick.numbers = self._sequence.numbers.dump()
            tick.learned = self._fleet.learned(self._note_us / 1e6 / _LEARNED_S)
        return tick, prompts

    def remember(self, numbers: bytes, learned: list[tuple[str, bytes]]) -> None:
        """Takes up what an earlier life knew, before the kept raw frames are replayed.

        Which frames it had seen, and what the helmets' sensors had taught it.
        """
        if numbers:
            self._sequence.numbers.load(numbers)
        others = self._fleet.remember(learned)
        metrics.LEARNED.labels("taken_up").inc(len(learned) - others)
        metrics.LEARNED.labels("other_version").inc(others)
        if others:
            log.warning("learned.other_version", helmets=others, hint="they are new helmets to this version")

    def go_on(self, burst: Burst) -> None:
        """Takes up what an earlier life held back, after the kept raw frames were replayed."""
        self._breaker.restore(*burst)

    def learned(self) -> list[tuple[str, bytes]]:
        """What the sensors of all helmets have taught, for the end of this life."""
        return self._fleet.learned(1)

    def _sort(self, message: Message, tick: Tick, motion: list[Message]) -> None:
        parsed = codec.parse_topic(message.topic)
        value: HelmetEvent | HelmetStatus | Rejected
        if isinstance(parsed, Rejected):
            value = parsed
        elif parsed[1] == "motion":
            motion.append(message)
            return
        elif parsed[1] == "event":
            value = self._event(message, parsed[0])
        elif parsed[1] == "status" and not message.payload:
            return  # a retained status that someone cleared
        elif parsed[1] == "status":
            value = codec.decode_status(message, parsed[0])
        else:
            value = Rejected(message.topic, Reason.TOPIC, "prompts go the other way")
        metrics.MESSAGES.labels("other").inc()
        if isinstance(value, Rejected):
            tick.rejected.append((message, value))
        elif isinstance(value, HelmetEvent):
            tick.events.append(value)
        else:
            self._offline[value.helmet] = value

    def _event(self, message: Message, helmet: str) -> HelmetEvent | Rejected:
        value = codec.decode_event(message, helmet, future_s=self._config.future_s)
        routine = isinstance(value, HelmetEvent) and value.type != "sos"
        if routine and not self._event_rate.allows(helmet, message.received_us):
            return Rejected(
                message.topic, Reason.RATE, f"more than {self._config.events_per_min} events a minute"
            )
        return value

    def _note(self, kept: list[Frames], tick: Tick) -> None:
        for frames in kept:
            self.frames += len(frames)
            for row, helmet in enumerate(frames.helmet):
                self._heard[helmet] = (frames, row)
            ends_us = frames.t0_us + frames.acc.shape[1] * frames.period_ns.astype("i8") // 1000
            self.lag_s = float((tick.now_us - ends_us).max()) / 1e6
        for _, rejected in tick.rejected:
            metrics.REJECTED.labels(rejected.reason).inc()
        self.rejected += len(tick.rejected)
        metrics.MESSAGES.labels("motion").inc(sum(len(frames) for frames in kept))
        metrics.HELMETS.set(len(self._sequence))
        for fault, count in self._fleet.health().items():
            metrics.SENSOR_HEALTH.labels(fault).set(count)

    def _speak(self, detection: Detection) -> tuple[str, Prompt]:
        """Asks the rider at once, without a way round by the desk; who only forgot the helmet is reminded of it."""
        if detection.kind is Kind.NOT_WORN:
            return detection.helmet, Prompt("remind", text=_PUT_IT_ON)
        until_us = detection.detected_us + self._countdown_us
        return detection.helmet, Prompt("ask", incident=detection.incident, until_us=until_us)

    def _is_fresh(self, held: Held, now_us: int) -> bool:
        """Whether the rider of an incident that was held back can still answer in time."""
        return held.version == 1 and not held.late and now_us < held.at_us + self._countdown_us

    def _ask(self, held: Held) -> tuple[str, Prompt]:
        return held.helmet, Prompt("ask", incident=held.incident, until_us=held.at_us + self._countdown_us)

    def reports(self) -> list[HelmetReport]:
        """State of every helmet heard since the last call."""
        heard, self._heard = self._heard, {}
        faulty = self._faulty
        out = [_report(helmet, *where, faulty.get(helmet, [])) for helmet, where in list(heard.items())]
        offline, self._offline = self._offline, {}
        for helmet, status in list(offline.items()):
            if not status.online and helmet not in heard:
                t_us = status.received_us
                out.append(
                    HelmetReport(helmet, t_us, t_us, Worn.UNKNOWN, None, None, None, None, None, False)
                )
        return out


def _receipts(frames: Frames) -> Iterator[tuple[str, Prompt]]:
    """Helmets repeat a frame sent on impact until they hear that it is durable; duplicates too."""
    for k in ((frames.flags & Flag.ON_IMPACT) > 0).nonzero()[0].tolist():
        yield frames.helmet[k], Prompt("received", boot=int(frames.boot[k]), seq=int(frames.seq[k]))


def _report(helmet: str, frames: Frames, k: int, faults: list[str]) -> HelmetReport:
    def known(value: float) -> float | None:
        return None if value != value else float(value)

    battery = int(frames.battery_pct[k])
    return HelmetReport(
        helmet=helmet,
        t_us=int(frames.t0_us[k]),
        received_us=int(frames.received_us[k]),
        worn=Worn(int(frames.worn[k])),
        battery_pct=None if battery == 255 else battery,
        speed_mps=known(frames.speed_mps[k]),
        lat_deg=known(frames.lat_deg[k]),
        lon_deg=known(frames.lon_deg[k]),
        accuracy_m=known(frames.accuracy_m[k]),
        faults=faults,
    )


_CPU = {
    name: metrics.STAGE_CPU.labels(name)
    for name in ("decode", "sequence", "detect", "telemetry", "journal", "acknowledge")
}


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Counts the processor time of this thread to a stage."""
    began = time.thread_time()
    try:
        yield
    finally:
        _CPU[name].inc(time.thread_time() - began)
