"""What the workers last said: how they fare, and where their helmets are.

Kept in memory, but for what tells a desk that starts whom it has to expect.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from alerts.faults import Fault
from core.model import HelmetReport, WorkerReport
from web.outage import Outage
from web.worker_wire import helmets_json

STALE_S = 10.0
"""A worker reports every few seconds; after this long without one something is wrong."""

STARTING_S = 60.0
"""How long a desk that starts waits for the first word of its workers: they may start with it."""

HOUR_US = 3600 * 1_000_000
EXPECTED_US = 24 * HOUR_US
"""A worker that was silent for so long when the desk starts was taken out of service."""


@dataclass(slots=True)
class _Worker:
    report: WorkerReport
    taken_us: int
    stale: bool = False


class Fleet:
    """The latest report of each worker and each helmet."""

    def __init__(self, helmets_max: int) -> None:
        self._helmets_max = helmets_max
        self._workers: dict[str, _Worker] = {}
        self._helmets: dict[str, HelmetReport] = {}
        self._worker_of: dict[str, str] = {}
        self._outage = Outage()
        self._heard_us: dict[str, int] = {}
        """When each worker was last heard, by the hour: also those of before a restart."""
        self._awaited_us: dict[str, int] = {}
        """Workers that this desk has not heard yet, and from when on that is a fault."""
        self._nobody_us = 2**62
        """From when on it is a fault that no worker was ever heard."""
        self.observed: dict[str, int] = {}
        """Helmets under observation, and until when (microseconds since 1970)."""

    def begin(self, remembered: dict[str, Any], lasting: Iterable[str], now_us: int) -> None:
        """The desk starts: whoever reported before it stopped is to report again.

        `remembered` is what `memory` gave; `lasting` are the names of the faults that had not ended.
        """
        heard: dict[str, int] = remembered.get("workers", {})
        self._heard_us = {name: at_us for name, at_us in heard.items() if now_us - at_us < EXPECTED_US}
        silent = set(lasting)
        due_us = now_us + round(STARTING_S * 1e6)
        self._nobody_us = now_us if "workers" in silent else due_us
        self._awaited_us = {name: now_us if f"worker {name}" in silent else due_us for name in self._heard_us}
        self._outage.restore(remembered.get("struck", []))

    def memory(self) -> dict[str, Any]:
        """What `begin` needs after a restart, ready for JSON; it seldom changes."""
        return {"workers": dict(self._heard_us), "struck": sorted(self._outage.struck)}

    def excuse(self, silenced: Callable[[str], bool]) -> None:
        """Nobody need be told that these helmets are gone."""
        self._outage.excuse(silenced)

    def take(
        self, report: WorkerReport, now_us: int, silenced: Callable[[str], bool] = lambda _: False
    ) -> list[HelmetReport]:
        """Takes a report and returns the helmets that changed; of `silenced` ones nobody counts who went offline."""
        self._workers[report.worker] = _Worker(replace(report, helmets=[], riding=[]), now_us)
        self._awaited_us.pop(report.worker, None)
        self._heard_us[report.worker] = now_us // HOUR_US * HOUR_US
        changed = []
        for reported in report.helmets:
            helmet = reported
            known = self._helmets.get(helmet.helmet)
            if known is not None and not helmet.online:
                # News of a helmet's end says nothing of its place: the last one known stays.
                helmet = replace(known, online=False, received_us=helmet.received_us)
            if known == helmet or (known is not None and helmet.received_us < known.received_us):
                continue
            if helmet.online:
                self._outage.came(helmet.helmet)
            elif (known is None or known.online) and not silenced(helmet.helmet):
                self._outage.went(helmet.helmet, now_us)
            # Deleted first, so that the dictionary stays in the order of the last change.
            self._helmets.pop(helmet.helmet, None)
            self._helmets[helmet.helmet] = helmet
            self._worker_of[helmet.helmet] = report.worker
            changed.append(helmet)
        while len(self._helmets) > self._helmets_max:
            gone = next(iter(self._helmets))
            del self._helmets[gone], self._worker_of[gone]
        return changed

    def faults(self, now_us: int, least: int, within_s: float) -> dict[str, Fault]:
        """What is wrong now, by name: workers that are silent, and many helmets gone within a short time.

        Many are `least` or more, and at least a tenth of the fleet: riders go home one by one.
        """
        silent = [name for name, worker in self._workers.items() if now_us - worker.taken_us > STALE_S * 1e6]
        silent += [name for name, due_us in self._awaited_us.items() if due_us <= now_us]
        found = {
            f"worker {name}": Fault(
                f"采集进程 {name} 没有消息，可能看不到碰撞。",
                f"The worker {name} is silent: crashes may not be seen.",
            )
            for name in silent
        }
        if not self._heard_us and self._nobody_us <= now_us:
            found["workers"] = Fault(
                "没有任何采集进程上报，看不到碰撞。", "No worker reports: crashes are not seen."
            )
        gone = self._outage.count(now_us, max(least, len(self._helmets) / 10), within_s)
        if gone:
            found["helmets"] = Fault(
                f"{gone} 顶头盔同时离线，可能是网络、基站或服务器故障。",
                f"{gone} helmets went offline at once: a network, region or server may be down.",
            )
        return found

    @property
    def names(self) -> Iterable[str]:
        """All helmets heard of."""
        return self._helmets.keys()

    def helmet(self, name: str) -> HelmetReport | None:
        """What is known of one helmet."""
        return self._helmets.get(name)

    def worker_of(self, name: str) -> str | None:
        """The worker that last spoke of a helmet."""
        return self._worker_of.get(name)

    def newly_stale(self, now_us: int) -> bool:
        """Whether a worker fell silent since the last call."""
        fell = False
        for worker in self._workers.values():
            stale = now_us - worker.taken_us > STALE_S * 1e6
            fell |= stale and not worker.stale
            worker.stale = stale
        return fell

    def newest_age_s(self, now_us: int) -> float | None:
        """Age of the newest report; None before the first."""
        newest = max((worker.taken_us for worker in self._workers.values()), default=None)
        return None if newest is None else max(0, now_us - newest) / 1e6

    def view(self, now_us: int, helmets: list[HelmetReport] | None = None) -> bytes:
        """The object of `GET /api/v1/fleet` as JSON, with the given helmets or with all of them."""
        shown = list(self._helmets.values()) if helmets is None else helmets
        workers = [_worker(worker, now_us) for worker in self._workers.values()]
        observed = {name: until_us for name, until_us in self.observed.items() if until_us > now_us}
        head = json.dumps({"now_us": now_us, "workers": workers, "observed": observed}, ensure_ascii=False)
        return head[:-1].encode() + b', "helmets": ' + helmets_json(shown) + b"}"


def _worker(worker: _Worker, now_us: int) -> dict[str, Any]:
    age_s = max(0, now_us - worker.taken_us) / 1e6
    body: dict[str, Any] = asdict(worker.report)
    del body["helmets"], body["riding"]
    return body | {"age_s": age_s, "stale": age_s > STALE_S}
