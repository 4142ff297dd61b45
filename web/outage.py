"""Many helmets gone at once: it begins when enough go within a short time, and ends when most of them are back."""

from collections.abc import Callable, Iterable


class Outage:
    """Who went when, and who of them is not back yet. Used from one thread."""

    def __init__(self) -> None:
        self._recent: dict[str, int] = {}
        """Helmets that are gone, and since when; those of the last minutes alone."""
        self.struck: set[str] = set()
        """Whom the outage has hit; empty where there is none."""
        self.missing: set[str] = set()
        """Those of them that are still gone."""

    def restore(self, struck: Iterable[str]) -> None:
        """Goes on with an outage that lasted when the desk stopped; who is back meanwhile will say so."""
        self.struck, self.missing = set(struck), set(struck)

    def went(self, helmet: str, now_us: int) -> None:
        """A helmet went offline."""
        self._recent[helmet] = now_us

    def came(self, helmet: str) -> None:
        """A helmet is online."""
        self._recent.pop(helmet, None)
        self.missing.discard(helmet)

    def excuse(self, silenced: Callable[[str], bool]) -> None:
        """Of silenced helmets nobody counts that they are gone."""
        excused = {helmet for helmet in (*self.struck, *self._recent) if silenced(helmet)}
        self.struck -= excused
        self.missing -= excused
        for helmet in excused:
            self._recent.pop(helmet, None)

    def count(self, now_us: int, least: float, within_s: float) -> int:
        """How many helmets are gone in an outage; 0 where there is none.

        It begins, and grows, while `least` or more went within `within_s`. That nobody else goes is no end of it:
        it ends when more than half of those it has hit are back.
        """
        after_us = now_us - round(within_s * 1e6)
        self._recent = {helmet: at_us for helmet, at_us in self._recent.items() if at_us > after_us}
        if len(self._recent) >= least:
            self.struck |= self._recent.keys()
            self.missing |= self._recent.keys()
        if 2 * len(self.missing) < len(self.struck) or not self.missing:
            self.struck, self.missing = set(), set()
        return len(self.missing)
