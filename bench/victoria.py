"""A real VictoriaMetrics to be stopped and started: a server of InfluxDB's v2 write API."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from app.stack import StackError, free_port, listens

_START_S = 30.0


class Victoria:
    """The server of one folder; what it took before it was stopped it has when it is started again."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("victoria-metrics") is None:
            raise StackError("victoria-metrics is not installed: apt-get install victoria-metrics")
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers. Raises `StackError` where it does not."""
        with (self._folder / "victoria.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "victoria-metrics",
                    f"-httpListenAddr=127.0.0.1:{self._port}",
                    f"-storageDataPath={self._folder / 'victoria'}",
                    "-retentionPeriod=100y",
                    "-memory.allowedPercent=10",
                    # A write whose answer was lost comes again; docs/storage.md asks for this.
                    "-dedup.minScrapeInterval=1ms",
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "GOMAXPROCS": "1"},
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not listens(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StackError("victoria-metrics did not start")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops it with SIGTERM: it writes down what it has acknowledged, then nobody listens."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def keys(self) -> Iterator[tuple[str, int, int]]:
        """(helmet, boot, seq) of everything stored; it answers no InfluxQL, so by its own export."""
        self._get("/internal/force_flush")
        seqs, boots = self._export("helmet_seq"), self._export("helmet_boot")
        for helmet, pairs in seqs.items():
            for (t_ms, seq), (other_ms, boot) in zip(pairs, boots[helmet], strict=True):
                if t_ms != other_ms:
                    raise StackError(f"victoria-metrics holds half a row of {helmet} at {t_ms} ms")
                yield helmet, boot, seq

    def _export(self, metric: str) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        for line in self._get(f"/api/v1/export?match[]={metric}").splitlines():
            series = json.loads(line)
            pairs = zip(series["timestamps"], map(int, series["values"]), strict=True)
            found.setdefault(series["metric"]["helmet"], []).extend(pairs)
        return {helmet: sorted(pairs) for helmet, pairs in found.items()}

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=300) as answer:  # noqa: S310
            body: bytes = answer.read()
        return body
