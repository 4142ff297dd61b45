"""How long to wait after failures in a row: full jitter, up to 5 s."""

import random

_MAX_S = 5.0


def backoff_s(failures: int) -> float:
    """Seconds to wait, at random, after so many failures in a row; the bound doubles with each from 0.2 s on."""
    return random.uniform(0.05, min(_MAX_S, 0.1 * 2 ** min(failures, 10)))
