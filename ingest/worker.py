"""The worker's loop: drain, decode, detect, commit, acknowledge, many times a second."""

import sqlite3
import threading
import time
from collections import deque
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import structlog

from core import metrics, raised
from core.clock import Clock
from core.config import Config
from core.model import Prompt, Reason, Rejected, WorkerReport
from ingest import codec
from ingest.codec import Message
from ingest.culprits import Culprit, work_through
from ingest.desk_relay import DeskRelay, State
from ingest.heartbeat import Heartbeat
from ingest.journal import Journal, Taken, Tick
from ingest.journal_file import JournalError, is_damage
from ingest.messages import Messages
from ingest.mqtt import Subscriber
from ingest.observed import Observed
from ingest.outbox import Outbox
from ingest.pipeline import Pipeline, stage
from ingest.rate import Rate
from ingest.retention import Retention
from ingest.sampler import WATCHED_US, Sampler
from ingest.store_relay import StoreRelay
from ingest.telemetry import as_telemetry
from ingest.turns import Turns
from storage import open_store

log = structlog.get_logger()

_T = TypeVar("_T")

_DRAIN_MAX = 4000
"""Messages in one turn at most, so that a backlog cannot delay a fresh crash by more than one large turn."""
_COMMIT_RETRY_S = 1.0
_TAKE_IN_S = 5.0
"""For how long a stop still takes in what comes; the rest is not acknowledged and the broker keeps it for us."""
_HUNG_S = 60.0
_LEAVE_S = 3.0
"""How long, together, broker, desk and store may take to let go."""


class Worker:
    """One worker: an MQTT session, the state of its helmets, a journal, two relays.

    `run` blocks until `stop` is set and returns the process's exit code: 0 where everything received was made
    durable, 1 where the worker could not go on.
    """

    def __init__(self, config: Config, clock: Clock, token: str) -> None:
        self._config = config
        self._clock = clock
        path = Path(config.ingest.journal.path)
        self._journal = Journal(path, config.ingest.journal.raw_s, config.ingest.journal.max_mb)
        self._pipeline = Pipeline(config)
        self._observed = Observed(path.with_name(path.name + ".observed"))
        self._sampler = Sampler(self._observed.now, config.ingest.future_s)
        self._resume()
        self._subscriber = Subscriber(config.ingest, clock)
        self._messages = Messages(self._subscriber.publish)
        self._turns = Turns(self._subscriber.inbox, _DRAIN_MAX)
        self._taken_outbox: deque[tuple[State, int]] = deque()
        self._taken_telemetry: deque[int] = deque()
        self._refused_rows: deque[tuple[Message, Rejected]] = deque()
        self._rate = Rate()
        self._desk = DeskRelay(
            config,
            token,
            path,
            self.report,
            self._taken_outbox.extend,
            self._observed.take,
            self._answered,
        )
        self._telemetry = StoreRelay(
            lambda: open_store(config.storage),
            path,
            config.storage.batch_rows,
            self._stored,
            config.storage.drain_factor,
        )
        url, every_s = config.ingest.heartbeat_url, config.ingest.heartbeat_s
        self._heartbeat = Heartbeat(url, every_s, self.ready) if url else None
        self._retention = Retention(config.storage.embedded, lambda: self._telemetry.store)
        self._network_cpu_s = 0.0
        self.turned_s = self.lived_s = time.monotonic()

    def ready(self) -> str:
        """Empty where the worker does its work, else a sentence saying what keeps it from it."""
        if dead := self._dead():
            return f"the thread {dead} has ended"
        if not self._subscriber.connected.is_set():
            return "not connected to the broker"
        now_s = time.monotonic()
        if now_s - self.turned_s > 5:
            return "the loop has not turned for 5 s"
        return self._desk.trouble(now_s)

    def hung(self) -> str:
        """Empty unless only a new start would help, else a sentence."""
        if dead := self._dead():
            return f"the thread {dead} has ended"
        if time.monotonic() - self.lived_s > _HUNG_S:
            return f"the loop has not turned for {_HUNG_S:.0f} s"
        return ""

    def _dead(self) -> str:
        """The name of a thread that has ended, if any."""
        alive = {
            "broker": self._subscriber.alive,
            "desk-relay": self._desk.alive,
            "store-relay": self._telemetry.alive,
        }
        return next((name for name, is_alive in alive.items() if not is_alive()), "")

    def run(self, stop: threading.Event) -> int:
        """Works until `stop` is set or going on is pointless."""
        self._subscriber.start()
        self._desk.start()
        self._telemetry.start()
        if self._heartbeat:
            self._heartbeat.start()
        turn_s = self._config.ingest.tick_ms / 1000
        while not stop.is_set() and not self._subscriber.failed.is_set():
            began = time.monotonic()
            self.turn(stop)
            self.turned_s = time.monotonic()
            metrics.TICK.observe(self.turned_s - began)
            self._retention.turn(self.turned_s, self._clock.now_us())
            if not self._turns:
                stop.wait(max(0.0, began + turn_s - time.monotonic()))
        return self._shut_down()

    def turn(self, stop: threading.Event) -> int:
        """One turn of the loop; returns how many messages it took."""
        deliveries = self._turns.take()
        metrics.QUEUE.set(len(self._subscriber.inbox) + len(self._turns))
        self._count_network_cpu()
        messages = [d.message for d in deliveries]
        try:
            prompts = self._work(messages, stop)
        except JournalError:
            raise
        except Exception as error:
            prompts = self._sift(messages, error, stop)
        if prompts is None:
            return 0
        with stage("acknowledge"):
            self._subscriber.acknowledge(self._turns.done(deliveries))
            self._tell(prompts)
        self._rate.add(len(deliveries))
        return len(deliveries)

    def _work(self, messages: list[Message], stop: threading.Event) -> list[tuple[str, Prompt]] | None:
        """Makes durable what messages say, and gives what to tell helmets; None where a stop came before the disk."""
        tick, prompts = self._pipeline.process(messages, self._clock.now_us())
        with stage("telemetry"):
            samples = self._samples(tick)
            if samples is not None:
                tick.telemetry.append(samples)
        if not self._commit(tick, stop):
            return None
        if tick.detections or tick.events or tick.released:
            self._desk.wake()
        if tick.telemetry:
            self._telemetry.wake(sum(map(len, tick.telemetry)))
        return prompts

    def _sift(
        self, messages: list[Message], error: Exception, stop: threading.Event
    ) -> list[tuple[str, Prompt]] | None:
        """Works through messages of which some made us raise; these alone are set aside, with a reason.

        Raises what was raised where no message is the cause.
        """
        log.error("worker.raised", **raised.facts(error), messages=len(messages))
        self._begin_anew()
        prompts = self._work([], stop)
        for told in work_through(messages, lambda part: self._work(part, stop), self._begin_anew):
            if isinstance(told, Culprit):
                told = self._set_aside(*told, stop)
            if told is None or prompts is None:
                return None
            prompts = prompts + told
        return prompts

    def _set_aside(
        self, message: Message, error: Exception, stop: threading.Event
    ) -> list[tuple[str, Prompt]] | None:
        log.error(
            "worker.set_aside", **raised.facts(error), hint="kept in the journal, table rejected; tell us"
        )
        rejected = Rejected(
            message.topic[:100], Reason.ERROR, f"made the worker raise {type(error).__name__}"
        )
        metrics.REJECTED.labels(rejected.reason).inc()
        self._pipeline.rejected += 1
        return [] if self._commit(Tick(self._clock.now_us(), rejected=[(message, rejected)]), stop) else None

    def _begin_anew(self) -> None:
        """Forgets what the pipeline knows and takes it up again from the journal, as a start does."""
        old, self._pipeline = self._pipeline, Pipeline(self._config)
        self._sampler = Sampler(self._observed.now, self._config.ingest.future_s)
        self._pipeline.riding = old.riding
        self._resume()
        self._pipeline.frames, self._pipeline.rejected = old.frames, old.rejected

    def report(self) -> WorkerReport:
        """What the desk is told every few seconds."""
        return WorkerReport(
            worker=self._config.ingest.worker,
            sent_us=self._clock.now_us(),
            connected=self._subscriber.connected.is_set(),
            frames=self._pipeline.frames,
            rejected=self._pipeline.rejected,
            frames_per_s=self._rate.per_s(),
            queue=len(self._subscriber.inbox) + len(self._turns),
            lag_s=self._pipeline.lag_s,
            undelivered=self._desk.undelivered,
            unstored_rows=self._journal.rows_waiting,
            helmets=self._pipeline.reports(),
            prompted=self._messages.ids,
            riding=self._pipeline.riding.next(),
        )

    def _answered(self, answer: bytes) -> None:
        """The desk's answer to a report: what helmets are to be told, and how much it has kept."""
        self._pipeline.riding.answered(answer)
        self._messages.take(answer)

    def _stored(self, blocks: list[int], refused: list[tuple[Message, Rejected]]) -> None:
        # In this order: no block is struck off without its refused rows.
        self._refused_rows.extend(refused)
        self._taken_telemetry.extend(blocks)

    def _count_network_cpu(self) -> None:
        now_s = self._subscriber.thread_cpu_s()
        # A new connection has a new thread, whose clock starts at 0.
        metrics.STAGE_CPU.labels("network").inc(max(0.0, now_s - self._network_cpu_s))
        self._network_cpu_s = now_s

    def _resume(self) -> None:
        """Replays the kept raw frames: open incidents go on as if nothing had happened."""
        began, messages = time.monotonic(), 0
        try:
            self._pipeline.remember(self._journal.numbers(), self._journal.learned())
            calls = self._recent_calls()
            for now_us, block in self._journal.raw():
                try:
                    tick = self._pipeline.replay(block, now_us)
                except Exception as error:
                    # No start would ever get beyond it.
                    log.error("journal.not_replayed", **raised.facts(error), messages=len(block))
                    metrics.JOURNAL_LOST.labels("raw").inc()
                    continue
                while calls and calls[0].now_us < now_us:
                    self._samples(calls.popleft())
                # They were made durable with the frames; what is needed is its memory of them.
                self._samples(tick)
                # The same incidents and versions come out again; only those lost between detecting and committing
                # (there are none in one transaction) would be new.
                self._journal.commit(Tick(now_us, detections=tick.detections), Taken([], []))
                messages += len(block)
            for call in calls:
                self._samples(call)
            self._pipeline.go_on(self._journal.burst())
        except sqlite3.Error as error:
            raise JournalError(f"the journal cannot be written: {error} (is the disk full?)") from None
        if messages:
            log.info("journal.resumed", messages=messages, seconds=round(time.monotonic() - began, 2))

    def _recent_calls(self) -> deque[Tick]:
        """The last minutes' calls for help, oldest first, for the samples around them: no raw frame has them."""
        outbox = Outbox(self._journal.path)
        try:
            return deque(outbox.sos_since(self._clock.now_us() - WATCHED_US))
        except sqlite3.Error as error:
            log.warning("samples.calls_not_read", error=str(error))
            return deque()
        finally:
            outbox.close()

    def _samples(self, tick: Tick) -> npt.NDArray[np.void] | None:
        """Raw samples of this turn to keep, if any; they are for later, and no alert waits or fails for them."""
        try:
            found = self._sampler.take(tick)
            return None if found is None else as_telemetry(found)
        except Exception:
            log.exception("samples.not_kept")
            return None

    def _commit(self, tick: Tick, stop: threading.Event) -> bool:
        """Commits a tick, however long the disk refuses; nothing is acknowledged meanwhile."""
        blocks = _take_all(self._taken_telemetry)
        taken = Taken(_take_all(self._taken_outbox), blocks, _take_all(self._refused_rows))
        while True:
            # A full disk is waited for: it is no hang.
            self.lived_s = time.monotonic()
            try:
                with stage("journal"):
                    if not tick.empty() or taken.outbox or taken.telemetry:
                        self._journal.commit(tick, taken)
                return True
            except sqlite3.Error as error:
                if is_damage(error):
                    # Only a start can mend the file; nothing of this turn was acknowledged, so it comes again.
                    raise JournalError(f"the journal is damaged: {error}") from None
                log.error("journal.not_written", error=str(error), hint="is the disk full?")
                if stop.wait(_COMMIT_RETRY_S):
                    return False

    def _tell(self, prompts: list[tuple[str, Prompt]]) -> None:
        for helmet, prompt in prompts:
            self._subscriber.publish(codec.topic(helmet, "prompt"), codec.encode_prompt(prompt))

    def _shut_down(self) -> int:
        """Takes in what has arrived, commits, acknowledges, leaves the broker with the session kept.

        Nobody who hangs is waited for longer than `_LEAVE_S`: what is not acknowledged, taken or stored comes again.
        """
        failed = self._subscriber.failed.is_set()
        never = threading.Event()
        never.set()
        deadline = time.monotonic() + _TAKE_IN_S
        while time.monotonic() < deadline and self.turn(never):
            continue
        if self._heartbeat:
            self._heartbeat.stop()
        parts = (self._subscriber, self._desk, self._telemetry)
        for part in parts:
            part.leave()
        deadline = time.monotonic() + _LEAVE_S
        for part in parts:
            part.join(max(0.0, deadline - time.monotonic()))
        self._commit(Tick(self._clock.now_us(), learned=self._pipeline.learned()), never)
        self._journal.close()
        log.info("worker.stopped", frames=self._pipeline.frames, rejected=self._pipeline.rejected)
        return 1 if failed else 0


def _take_all(values: deque[_T]) -> list[_T]:
    return [values.popleft() for _ in range(len(values))]
