"""How long to wait before the next try, so that thousands who lost one broker do not come back in one moment."""

import random


class Backoff:
    """Full jitter: anything from nothing up to a limit that doubles with every try.

    Of the usual schemes it needs the fewest calls of all clients together (M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015).
    """

    def __init__(self, first_s: float, most_s: float, rng: random.Random) -> None:
        self._first_s, self._most_s, self._rng = first_s, most_s, rng
        self._tries = 0

    def next_s(self) -> float:
        """Seconds until the next try."""
        limit_s = min(self._most_s, self._first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return self._rng.uniform(0, limit_s)

    def reset(self) -> None:
        """It has worked: the next failure starts from the beginning."""
        self._tries = 0
