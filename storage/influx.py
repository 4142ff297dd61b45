"""Telemetry in InfluxDB or a compatible server; the only module that sees influxdb_client."""

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from core import config
from core.model import TELEMETRY
from storage import UNSTORABLE, Outcome, StoreError, unstorable

_NAMES = TELEMETRY.names or ()
_FLOATS = [name for name in _NAMES if TELEMETRY[name].kind == "f"]
_INTEGERS = [name for name in _NAMES if TELEMETRY[name].kind in "iu" and name != "t_us"]
_FIELDS = ", ".join(f'"{name}"' for name in [*_INTEGERS, *_FLOATS])
_FORMAT = {4: "%.9g", 8: "%.17g"}
"""Digits that give back the same binary32 and binary64 (IEEE 754-2008, 5.12.2)."""
_PAGE = 10000
_NS_MAX = 2**63 - 1
_REJECTIONS_MAX = 64
"""Answers "bad lines" in one write, with nothing stored, after which the fault is not in single rows."""


def lines(rows: npt.NDArray[np.void]) -> list[str]:
    """Line protocol, one line a row; the rows must not be `storage.unstorable`.

    Measurement and only tag are `helmet`. A server's key is tag and time alone, so the three digits below
    the microsecond carry (379 boot + seq) mod 1000: two frames of one microsecond, such as the first ones
    after two reboots of a helmet whose clock has no battery, stay two points. 379 has no factor in common
    with 1000.
    """
    ids, number = np.unique(rows["helmet"], return_inverse=True)
    tags = np.array([_escape(value.decode()) for value in ids.tolist()], dtype=object)[number]
    below_us = (rows["boot"].astype(np.int64) * 379 + rows["seq"]) % 1000
    t_ns = rows["t_us"] * 1000 + below_us
    known = np.stack([np.isfinite(rows[name]) for name in _FLOATS], axis=1)
    # One template for each combination of known columns: a fleet has two or three of them.
    combination = known @ (1 << np.arange(len(_FLOATS)))
    out = np.empty(len(rows), dtype=object)
    for bits in np.unique(combination).tolist():
        chosen = np.flatnonzero(combination == bits)
        names = [name for place, name in enumerate(_FLOATS) if bits >> place & 1]
        fields = [f"{name}=%di" for name in _INTEGERS]
        fields += [f"{name}={_FORMAT[TELEMETRY[name].itemsize]}" for name in names]
        template = f"helmet,helmet=%s {','.join(fields)} %d"
        columns = [tags, *(rows[name] for name in [*_INTEGERS, *names]), t_ns]
        values = zip(*(column[chosen].tolist() for column in columns), strict=True)
        out[chosen] = [template % row for row in values]
    text: list[str] = out.tolist()
    return text


def _escape(tag: str) -> str:
    """A tag value in line protocol; newlines and backslashes are refused before, not escaped."""
    return re.sub(r"([,= ])", r"\\\1", tag)


def _all_too_old(fault: str, count: int) -> bool:
    """Whether the server says that all `count` lines are older than the bucket's retention."""
    dropped = re.search(r"retention policy dropped=(\d+)", fault)
    return dropped is not None and int(dropped[1]) == count


class _StopError(Exception):
    """A write cannot go on; carries what to tell the caller."""

    def __init__(self, kind: Any, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class InfluxStore:
    """Telemetry through the v2 write API, read back by InfluxQL on the v1-compatible `/query`.

    Writes are synchronous and the batches are ours: the client's own batching has an unbounded queue and
    drops a batch after its retries without telling the caller.
    """

    def __init__(self, settings: config.Storage) -> None:
        server = settings.influxdb
        if not server.url:
            raise StoreError("storage.influxdb.url is empty")
        self._token = config.secret("HELMETWATCH_INFLUX_TOKEN", server.token_file)
        self._bucket, self._org, self._url = server.bucket, server.org, server.url.rstrip("/")
        self._batch_rows = settings.batch_rows
        self._client = InfluxDBClient(
            url=self._url,
            token=self._token,
            org=self._org,
            timeout=round(server.timeout_s * 1000),
            enable_gzip=True,
        )
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, rows: npt.NDArray[np.void]) -> Outcome:
        """Stores rows in batches.

        Where the server says that some lines of a batch are bad, the batch is halved until the bad ones stand
        alone: few servers name them, and writing a row twice changes nothing.
        """
        unusable = unstorable(rows)
        bad: list[int] = np.flatnonzero(unusable).tolist()
        good = np.flatnonzero(~unusable)
        text = lines(rows[good] if bad else rows)
        todo = deque(
            np.arange(at, min(at + self._batch_rows, len(text)))
            for at in range(0, len(text), self._batch_rows)
        )
        accepted = rejections = 0
        reason = UNSTORABLE
        try:
            while todo:
                part = todo.popleft()
                fault = self._post("\n".join(text[i] for i in part.tolist()), single=len(part) == 1)
                if not fault:
                    accepted += len(part)
                    continue
                rejections, reason = rejections + 1, fault
                if len(part) == 1 or _all_too_old(fault, len(part)):
                    bad += good[part].tolist()
                elif rejections > _REJECTIONS_MAX and not accepted:
                    raise _StopError("refused", fault)
                else:
                    todo.extend(np.array_split(part, 2))
        except _StopError as stop:
            return Outcome(stop.kind, accepted, [], stop.reason)
        if bad:
            return Outcome("partial", accepted, sorted(bad), reason)
        return Outcome("accepted", accepted)

    def _post(self, body: str, single: bool) -> str:
        """Writes one batch; gives back why lines in it are bad, or nothing where all are stored."""
        try:
            self._writer.write(self._bucket, self._org, body.encode(), write_precision=WritePrecision.NS)  # type: ignore[arg-type]
        except ApiException as error:
            status, said = error.status or 0, self._said(error)
            # Our fields never change their type, so this is the bucket's history and no fault of a row.
            foreign = re.search("type conflict|column type", said)
            if status in (400, 422) and not foreign:
                return said
            if status == 413 and not single:
                return said
            if status == 0 or status in (408, 429) or status >= 500:
                raise _StopError("retry", said) from None
            raise _StopError("refused", f"{said}{_ADVICE.get(status, '')}") from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _StopError("retry", self._failed(error)) from None
        return ""

    def _said(self, error: Any) -> str:
        """The server's answer as one short sentence: no token, and no telemetry it may quote."""
        text = str(error.body or error.reason or "")
        try:
            answer = json.loads(text)
            text = str(answer.get("message") or answer.get("error") or text)
        except (ValueError, AttributeError):
            pass
        text = re.sub(r"helmet,helmet=[^\n]*", "…", text)
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return self._hidden(f"{self._url} answered {error.status or 'nothing'}: {text[:200]}")

    def _failed(self, error: Exception) -> str:
        return self._hidden(f"{self._url} cannot be reached: {type(error).__name__}: {str(error)[:200]}")

    def _hidden(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text

    def _query(self, influxql: str) -> Iterator[tuple[list[str], list[list[Any]]]]:
        """The series of the answer: names of the columns, and rows."""
        parameters = [("db", self._bucket.partition("/")[0]), ("epoch", "ns"), ("q", influxql)]
        if "/" in self._bucket:
            parameters.append(("rp", self._bucket.partition("/")[2]))
        try:
            answer = self._client.api_client.call_api(  # type: ignore[no-untyped-call]
                "/query", "GET", query_params=parameters, response_type="object", _return_http_data_only=True
            )
        except ApiException as error:
            raise StoreError(self._said(error)) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise StoreError(self._failed(error)) from None
        try:
            result = answer["results"][0]
            if "error" in result:
                raise StoreError(self._hidden(f"{self._url} cannot read: {result['error'][:200]}"))
            for series in result.get("series", []):
                if series["name"] != "helmet":
                    raise KeyError(series["name"])
                yield series["columns"], series.get("values", [])
        except (KeyError, IndexError, TypeError, AttributeError):
            raise StoreError(f"{self._url} does not answer InfluxQL on /query") from None

    def read(self, helmet: str, start_us: int, end_us: int, limit: int = 10000) -> npt.NDArray[np.void]:
        """The first `limit` rows of one helmet with start_us <= t_us < end_us, by time."""
        pages = list(self._pages(helmet, [*_INTEGERS, *_FLOATS], start_us, end_us, limit))
        out = np.zeros(sum(len(page["time"]) for page in pages), dtype=TELEMETRY)
        at = 0
        for page in pages:
            rows = out[at : at + len(page["time"])]
            rows["helmet"] = helmet.encode()
            rows["t_us"] = np.array(page["time"], dtype=np.int64) // 1000
            for name in [*_INTEGERS, *_FLOATS]:
                rows[name] = page[name]
            at += len(rows)
        return out

    def _pages(
        self, helmet: str, fields: list[str], start_us: int, end_us: int, limit: int
    ) -> Iterator[dict[str, list[Any]]]:
        """Columns of one helmet's points by time, a page at a time: servers cap the rows of an answer."""
        start_ns, end_ns = (min(max(us * 1000, -_NS_MAX), _NS_MAX) for us in (start_us, end_us))
        quoted = helmet.replace("\\", "\\\\").replace("'", "\\'")
        names = ", ".join(f'"{name}"' for name in fields)
        while limit > 0:
            asked = min(limit, _PAGE)
            series = list(
                self._query(
                    f'SELECT {names} FROM "helmet" WHERE "helmet" = \'{quoted}\' '  # noqa: S608
                    f"AND time >= {start_ns} AND time < {end_ns} ORDER BY time LIMIT {asked}"
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
        return sum(
            int(row[1]) for _, values in self._query('SELECT count("seq") FROM "helmet"') for row in values
        )

    def keys(self) -> Iterator[tuple[str, int, int]]:
        """(helmet, boot, seq) of every point, helmet by helmet."""
        for _, values in self._query('SHOW TAG VALUES FROM "helmet" WITH KEY = "helmet"'):
            for _, helmet in values:
                for page in self._pages(helmet, ["boot", "seq"], -_NS_MAX, _NS_MAX, _NS_MAX):
                    for boot, seq in zip(page["boot"], page["seq"], strict=True):
                        yield helmet, boot, seq

    def prune(self, before_us: int) -> int:
        """Does nothing: how long points are kept is a property of the bucket."""
        return 0 * before_us

    def check(self) -> str:
        """Sends a comment: credentials and bucket are checked before the server finds no point in it."""
        try:
            self._post("# helmetwatch check", single=True)
        except _StopError as stop:
            raise StoreError(stop.reason) from None
        return f"bucket {self._bucket} at {self._url}"

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()  # type: ignore[no-untyped-call]


_ADVICE = {
    401: " (check the token)",
    403: " (the token may not write to this bucket)",
    404: " (check storage.influxdb.url, org and bucket)",
}
