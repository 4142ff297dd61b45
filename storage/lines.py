"""Rows as InfluxDB line protocol."""

import re

import numpy as np
import numpy.typing as npt

from core.model import TELEMETRY
from storage import SAMPLES

MEASUREMENTS = {TELEMETRY: "helmet", SAMPLES: "samples"}
_FORMAT = {4: "%.9g", 8: "%.17g"}
"""Digits that give back the same binary32 and binary64 (IEEE 754-2008, 5.12.2)."""


def integers(dtype: np.dtype[np.void]) -> list[str]:
    """The columns that are integer fields."""
    return [name for name in dtype.names or () if dtype[name].kind in "iu" and name != "t_us"]


def floats(dtype: np.dtype[np.void]) -> list[str]:
    """The columns that are float fields."""
    return [name for name in dtype.names or () if dtype[name].kind == "f"]


def lines(rows: npt.NDArray[np.void]) -> list[str]:
    """Line protocol, one line a row of `TELEMETRY` or `SAMPLES`; the rows must not be `storage.unstorable`.

    The only tag is `helmet`. A server's key is measurement, tag and time alone, so the three digits below the
    microsecond carry (379 boot + seq) mod 1000: two frames of one microsecond, such as the first ones after two
    reboots of a helmet whose clock has no battery, stay two points. 379 has no factor in common with 1000.
    """
    dtype = rows.dtype
    whole, real = integers(dtype), floats(dtype)
    ids, number = np.unique(rows["helmet"], return_inverse=True)
    tags = np.array([_escape(value.decode()) for value in ids.tolist()], dtype=object)[number]
    below_us = (rows["boot"].astype(np.int64) * 379 + rows["seq"]) % 1000
    t_ns = rows["t_us"] * 1000 + below_us
    known = np.stack([np.isfinite(rows[name]) for name in real], axis=1)
    # One template for each combination of known columns: a fleet has two or three of them.
    combination = known @ (1 << np.arange(len(real)))
    out = np.empty(len(rows), dtype=object)
    for bits in np.unique(combination).tolist():
        chosen = np.flatnonzero(combination == bits)
        names = [name for place, name in enumerate(real) if bits >> place & 1]
        fields = [f"{name}=%di" for name in whole]
        fields += [f"{name}={_FORMAT[dtype[name].itemsize]}" for name in names]
        template = f"{MEASUREMENTS[dtype]},helmet=%s {','.join(fields)} %d"
        columns = [tags, *(rows[name] for name in [*whole, *names]), t_ns]
        values = zip(*(column[chosen].tolist() for column in columns), strict=True)
        out[chosen] = [template % row for row in values]
    text: list[str] = out.tolist()
    return text


def _escape(tag: str) -> str:
    """A tag value in line protocol; newlines and backslashes are refused before, not escaped."""
    return re.sub(r"([,= ])", r"\\\1", tag)
