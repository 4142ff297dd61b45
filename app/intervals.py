"""Exact confidence intervals for what an evaluation counts."""

from scipy.stats import beta, chi2


def clopper_pearson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided exact interval of a share (Clopper & Pearson 1934); (0, 1) without trials."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(beta.ppf(1 - tail, hits + 1, trials - hits))
    return low, high


def poisson_rate(events: int, hours: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided exact interval of events per hour (Garwood 1936); (0, inf) without exposure."""
    if hours <= 0:
        return 0.0, float("inf")
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else float(chi2.ppf(tail, 2 * events)) / (2 * hours)
    return low, float(chi2.ppf(1 - tail, 2 * events + 2)) / (2 * hours)
