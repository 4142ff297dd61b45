"""What the workers last said: how they fare, and where their helmets are. Kept in memory alone."""

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from alerts.faults import Fault
from core.model import HelmetReport, WorkerReport
from web.worker_wire import helmets_json

STALE_S = 10.0
"""A worker reports every few seconds; after this long without one something is wrong."""


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
        self._gone: deque[int] = deque()
        """When helmets were reported gone, in the last minutes."""
        self.observed: dict[str, int] = {}
        """Helmets under observation, and until when (microseconds since 1970)."""

    def take(
        self, report: WorkerReport, now_us: int, silenced: Callable[[str], bool] = lambda _: False
    ) -> list[HelmetReport]:
        """Takes a report and returns the helmets that changed; of `silenced` ones nobody counts who went offline."""
        self._workers[report.worker] = _Worker(replace(report, helmets=[], riding=[]), now_us)
        changed = []
        for reported in report.helmets:
            helmet = reported
            known = self._helmets.get(helmet.helmet)
            if known is not None and not helmet.online:
                # News of a helmet's end says nothing of its place: the last one known stays.
                helmet = replace(known, online=False, received_us=helmet.received_us)
            if known == helmet or (known is not None and helmet.received_us < known.received_us):
                continue
            if not helmet.online and (known is None or known.online) and not silenced(helmet.helmet):
                self._gone.append(now_us)
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
        """What is wrong now, by name: workers that fell silent, and many helmets gone within a short time.

        Many are `least` or more, and at least a tenth of the fleet: riders go home one by one.
        """
        found = {
            f"worker {name}": Fault(
                f"采集进程 {name} 没有消息，可能看不到碰撞。",
                f"The worker {name} is silent: crashes may not be seen.",
            )
            for name, worker in self._workers.items()
            if now_us - worker.taken_us > STALE_S * 1e6
        }
        while self._gone and self._gone[0] <= now_us - round(within_s * 1e6):
            self._gone.popleft()
        if len(self._gone) >= max(least, len(self._helmets) / 10):
            found["helmets"] = Fault(
                f"{len(self._gone)} 顶头盔同时离线，可能是网络、基站或服务器故障。",
                f"{len(self._gone)} helmets went offline at once: a network, region or server may be down.",
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
