"""How many events a helmet may send: a button that hangs, or firmware gone wild, must not fill the journal."""


class EventRate:
    """A token bucket for each helmet: `per_min` events at once, and as many in each minute after that."""

    def __init__(self, per_min: int) -> None:
        self._burst_us = 60_000_000
        self._each_us = self._burst_us / per_min
        # A bucket as one number: when it will be full again. Those that are full need none.
        self._full_us: dict[str, float] = {}
        self._swept_us = 0

    def allows(self, helmet: str, now_us: int) -> bool:
        """Whether one more event of this helmet is allowed; if so it is counted."""
        self._sweep(now_us)
        # Whatever the clock was before, no bucket is emptier than empty.
        full_us = min(max(self._full_us.get(helmet, now_us), now_us), now_us + self._burst_us)
        allowed = full_us + self._each_us <= now_us + self._burst_us
        self._full_us[helmet] = full_us + self._each_us * allowed
        return allowed

    def _sweep(self, now_us: int) -> None:
        """Forgets the full ones once a minute: so many remain as helmets that sent something of late."""
        if abs(now_us - self._swept_us) >= self._burst_us:
            self._swept_us = now_us
            self._full_us = {helmet: at for helmet, at in self._full_us.items() if at > now_us}
