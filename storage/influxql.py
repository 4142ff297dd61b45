"""Reading points back by InfluxQL; how a question reaches the server is the business of `storage.influx`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from core.model import TELEMETRY
from storage.lines import MEASUREMENTS, floats, integers

Series = Iterator[tuple[list[str], list[list[Any]]]]
"""The series of an answer: names of the columns, and rows."""

_PAGE = 10000
_NS_MAX = 2**63 - 1


def quoted(text: str) -> str:
    """Text as a string of InfluxQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Reader:
    """The questions of the store's contract; `ask` puts one about rows of a dtype."""

    def __init__(self, ask: Callable[[np.dtype[np.void], str], Series]) -> None:
        self._ask = ask

    def rows(
        self, dtype: np.dtype[np.void], helmet: str, start_us: int, end_us: int, limit: int
    ) -> npt.NDArray[np.void]:
        """The first `limit` rows of one helmet with start_us <= t_us < end_us, by time."""
        fields = [*integers(dtype), *floats(dtype)]
        pages = list(self._pages(dtype, helmet, fields, start_us, end_us, limit))
        out = np.zeros(sum(len(page["time"]) for page in pages), dtype=dtype)
        at = 0
        for page in pages:
            rows = out[at : at + len(page["time"])]
            rows["helmet"] = helmet.encode()
            rows["t_us"] = np.array(page["time"], dtype=np.int64) // 1000
            for name in fields:
                rows[name] = page[name]
            at += len(rows)
        return out

    def _pages(
        self,
        dtype: np.dtype[np.void],
        helmet: str,
        fields: list[str],
        start_us: int,
        end_us: int,
        limit: int,
    ) -> Iterator[dict[str, list[Any]]]:
        """Columns of one helmet's points by time, a page at a time: servers cap the rows of an answer."""
        start_ns, end_ns = (min(max(us * 1000, -_NS_MAX), _NS_MAX) for us in (start_us, end_us))
        names = ", ".join(f'"{name}"' for name in fields)
        while limit > 0:
            asked = min(limit, _PAGE)
            series = list(
                self._ask(
                    dtype,
                    f'SELECT {names} FROM "{MEASUREMENTS[dtype]}" WHERE "helmet" = {quoted(helmet)} '  # noqa: S608
                    f"AND time >= {start_ns} AND time < {end_ns} ORDER BY time LIMIT {asked}",
                )
            )
            if not series or not series[0][1]:
                return
            columns, values = series[0]
            yield dict(zip(columns, map(list, zip(*values, strict=True)), strict=True))
            if len(values) < asked:
                return
            limit -= len(values)
            start_ns = int(values[-1][columns.index("time")]) + 1

    def count(self) -> int:
        """How many points are stored."""
        found = self._ask(TELEMETRY, 'SELECT count("seq") FROM "helmet"')
        return sum(int(row[1]) for _, values in found for row in values)

    def keys(self) -> Iterator[tuple[str, int, int]]:
        """(helmet, boot, seq) of every point, helmet by helmet."""
        for _, values in self._ask(TELEMETRY, 'SHOW TAG VALUES FROM "helmet" WITH KEY = "helmet"'):
            for _, helmet in values:
                for page in self._pages(TELEMETRY, helmet, ["boot", "seq"], -_NS_MAX, _NS_MAX, _NS_MAX):
                    for boot, seq in zip(page["boot"], page["seq"], strict=True):
                        yield helmet, boot, seq
