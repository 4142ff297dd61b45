"""How long to wait after failures in a row: full jitter, up to a bound."""

import random


def backoff_s(failures: int, most_s: float = 5.0) -> float:
    """Seconds to wait, at random, after so many failures in a row; the bound doubles with each from 0.2 s on."""
    return random.uniform(0.05, min(most_s, 0.1 * 2 ** min(failures, 10)))
