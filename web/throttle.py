"""Wrong sign-ins are limited, by name and address, so that passwords cannot be tried in bulk."""

from collections import OrderedDict

WINDOW_US = 300 * 1_000_000
PER_NAME = 10
"""Wrong tries of one name from one address within five minutes: who tries from elsewhere locks nobody out."""
PER_ADDRESS = 30
"""An office shares one address."""

_KEYS_MAX = 10_000


class Throttle:
    """Counts tries in memory. A try counts as wrong until `succeeded` says otherwise."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str], list[int]] = OrderedDict()

    def attempt(self, name: str, address: str, now_us: int) -> float:
        """0 where this try may go on; else the seconds until the next one may."""
        keys = self._keys(name, address)
        waits = [self._wait_s(key, limit, now_us) for key, limit in keys]
        if not any(waits):
            for key, _ in keys:
                self._tries.setdefault(key, []).append(now_us)
                self._tries.move_to_end(key)
            while len(self._tries) > _KEYS_MAX:
                self._tries.popitem(last=False)
        return max(waits)

    def succeeded(self, name: str, address: str) -> None:
        """The last try was right: the name's count there starts anew, and the address has one try less."""
        (by_name, _), (by_address, _) = self._keys(name, address)
        self._tries.pop(by_name, None)
        if self._tries.get(by_address):
            self._tries[by_address].pop()

    def _keys(self, name: str, address: str) -> list[tuple[tuple[str, str], int]]:
        return [((name, address), PER_NAME), (("", address), PER_ADDRESS)]

    def _wait_s(self, key: tuple[str, str], limit: int, now_us: int) -> float:
        recent = [t for t in self._tries.get(key, []) if now_us - WINDOW_US < t]
        if not recent:
            self._tries.pop(key, None)
            return 0.0
        self._tries[key] = recent
        if len(recent) < limit:
            return 0.0
        return (recent[-limit] + WINDOW_US - now_us) / 1e6
