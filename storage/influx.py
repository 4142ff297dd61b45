"""Telemetry in InfluxDB or a compatible server; the only module that sees influxdb_client."""

import gzip
import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from core import config
from core.model import TELEMETRY
from storage import SAMPLES, UNSTORABLE, Outcome, StoreError, unstorable
from storage.influxql import Reader, Series, quoted
from storage.lines import MEASUREMENTS, lines

_ZIP_LEVEL = 1
"""Not the client's own zipping, whose level 9 takes six times the processor time for a seventh less."""
_FIRST, _LAST = "1677-09-21T00:12:44Z", "2262-04-11T23:47:16Z"
"""What 64 bits of nanoseconds reach."""
_PAUSE_MAX_S = 60.0
"""No server may have us wait for longer: the journal fills."""
_REJECTIONS_MAX = 64
"""Answers "bad lines" in one write, with nothing stored, after which the fault is not in single rows."""


def _inside(text: str) -> str:
    """Text between double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _all_too_old(fault: str, count: int) -> bool:
    """Whether the server says that all `count` lines are older than the bucket's retention."""
    dropped = re.search(r"retention policy dropped=(\d+)", fault)
    return dropped is not None and int(dropped[1]) == count


def _pause_s(error: Any) -> float:
    """What the answer's Retry-After asks for, in seconds; 0 without one, and where it is a date."""
    asked = (error.headers or {}).get("Retry-After", "")
    return min(float(asked), _PAUSE_MAX_S) if re.fullmatch(r"\d{1,9}", asked) else 0.0


class _StopError(Exception):
    """A write cannot go on; carries what to tell the caller."""

    def __init__(self, kind: Any, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.pause_s = pause_s


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
        self._org, self._url = server.org, server.url.rstrip("/")
        self._buckets = {TELEMETRY: server.bucket, SAMPLES: server.samples_bucket or server.bucket}
        self._batch_rows = settings.batch_rows
        self._client = InfluxDBClient(
            url=self._url,
            token=self._token,
            org=self._org,
            timeout=round(server.timeout_s * 1000),
        )
        self._writer = WriteService(self._client.api_client)  # type: ignore[no-untyped-call]
        self._reader = Reader(self._query)

    def write(self, rows: npt.NDArray[np.void]) -> Outcome:
        """Stores rows in batches.

        Where the server says that some lines of a batch are bad, the batch is halved until the bad ones stand
        alone: few servers name them, and writing a row twice changes nothing.
        """
        unusable = unstorable(rows)
        bad: dict[int, str] = dict.fromkeys(np.flatnonzero(unusable).tolist(), UNSTORABLE)
        good = np.flatnonzero(~unusable)
        text = lines(rows[good] if bad else rows)
        todo = deque(
            np.arange(at, min(at + self._batch_rows, len(text)))
            for at in range(0, len(text), self._batch_rows)
        )
        bucket = self._buckets[rows.dtype]
        accepted = rejections = 0
        try:
            while todo:
                part = todo.popleft()
                fault = self._post(bucket, "\n".join(text[i] for i in part.tolist()), single=len(part) == 1)
                if not fault:
                    accepted += len(part)
                    continue
                rejections += 1
                if len(part) == 1 or _all_too_old(fault, len(part)):
                    bad |= dict.fromkeys(good[part].tolist(), fault)
                elif rejections > _REJECTIONS_MAX and not accepted:
                    raise _StopError("refused", fault)
                else:
                    todo.extend(np.array_split(part, 2))
        except _StopError as stop:
            return Outcome(stop.kind, accepted, {}, stop.reason, stop.pause_s)
        if bad:
            return Outcome("partial", accepted, dict(sorted(bad.items())))
        return Outcome("accepted", accepted)

    def _post(self, bucket: str, body: str, single: bool) -> str:
        """Writes one batch; gives back why lines in it are bad, or nothing where all are stored."""
        try:
            self._writer.post_write(  # type: ignore[no-untyped-call]
                self._org,
                bucket,
                gzip.compress(body.encode(), _ZIP_LEVEL),
                precision=WritePrecision.NS,
                content_encoding="gzip",
                content_type="text/plain; charset=utf-8",
            )
        except ApiException as error:
            status, said = error.status or 0, self._said(error)
            # Our fields never change their type, so this is the bucket's history and no fault of a row.
            foreign = re.search("type conflict|column type", said)
            if status in (400, 422) and not foreign:
                return said
            if status == 413 and not single:
                return said
            if status == 0 or status in (408, 429) or status >= 500:
                raise _StopError("retry", said, _pause_s(error)) from None
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
        text = re.sub(r"\w+,helmet=[^\n]*", "…", text)
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return self._hidden(f"{self._url} answered {error.status or 'nothing'}: {text[:200]}")

    def _failed(self, error: Exception) -> str:
        return self._hidden(f"{self._url} cannot be reached: {type(error).__name__}: {str(error)[:200]}")

    def _hidden(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text

    def _query(self, dtype: np.dtype[np.void], influxql: str, method: str = "GET") -> Series:
        """The series of the answer, all of the dtype's measurement: names of the columns, and rows."""
        database, _, policy = self._buckets[dtype].partition("/")
        parameters = [("db", database), ("epoch", "ns"), ("q", influxql)]
        if policy:
            parameters.append(("rp", policy))
        try:
            answer = self._client.api_client.call_api(  # type: ignore[no-untyped-call]
                "/query", method, query_params=parameters, response_type="object", _return_http_data_only=True
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
                if series["name"] != MEASUREMENTS[dtype]:
                    raise KeyError(series["name"])
                yield series["columns"], series.get("values", [])
        except (KeyError, IndexError, TypeError, AttributeError):
            raise StoreError(f"{self._url} does not answer InfluxQL on /query") from None

    def read(self, helmet: str, start_us: int, end_us: int, limit: int = 10000) -> npt.NDArray[np.void]:
        """The first `limit` rows of one helmet with start_us <= t_us < end_us, by time."""
        return self._reader.rows(TELEMETRY, helmet, start_us, end_us, limit)

    def samples(self, helmet: str, start_us: int, end_us: int, limit: int = 100000) -> npt.NDArray[np.void]:
        """The first `limit` raw samples of one helmet with start_us <= t_us < end_us, by time."""
        return self._reader.rows(SAMPLES, helmet, start_us, end_us, limit)

    def count(self) -> int:
        """How many points are stored."""
        return self._reader.count()

    def keys(self) -> Iterator[tuple[str, int, int]]:
        """(helmet, boot, seq) of every point, helmet by helmet."""
        return self._reader.keys()

    def prune(self, before_us: int, samples_before_us: int) -> int:
        """Does nothing: how long points are kept is a property of the bucket."""
        return 0 * (before_us + samples_before_us)

    def forget(self, helmet: str) -> None:
        """Deletes a helmet's points by the v2 delete API, or by InfluxQL where the server has none (InfluxDB 1).

        InfluxDB 3 has neither, by its documentation; `StoreError` then says so.
        """
        for dtype, measurement in MEASUREMENTS.items():
            try:
                self._client.delete_api().delete(
                    _FIRST,
                    _LAST,
                    f'_measurement="{measurement}" AND helmet="{_inside(helmet)}"',
                    bucket=self._buckets[dtype],
                    org=self._org,
                )
            except ApiException as error:
                if error.status not in (404, 405):
                    raise StoreError(f"{helmet} cannot be forgotten: {self._said(error)}") from None
                # A server without this address; one without the bucket says the same to the query.
                statement = f'DELETE FROM "{measurement}" WHERE "helmet" = {quoted(helmet)}'  # noqa: S608
                try:
                    list(self._query(dtype, statement, method="POST"))
                except StoreError as fault:
                    raise StoreError(
                        f"{helmet} cannot be forgotten: {fault}; its points go with the bucket's retention"
                    ) from None
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise StoreError(self._failed(error)) from None

    def check(self) -> str:
        """Sends a comment to each bucket: credentials and bucket are checked before the server finds no point in it."""
        buckets = list(dict.fromkeys(self._buckets.values()))
        try:
            for bucket in buckets:
                self._post(bucket, "# helmetwatch check", single=True)
        except _StopError as stop:
            raise StoreError(stop.reason) from None
        return f"bucket {' and '.join(buckets)} at {self._url}"

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()  # type: ignore[no-untyped-call]


_ADVICE = {
    401: " (check the token)",
    403: " (the token may not write to this bucket)",
    404: " (check storage.influxdb.url, org and bucket)",
}
