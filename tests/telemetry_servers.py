"""The telemetry servers of the tests: real InfluxDB 1.6.7 behind a v2 shim, and real VictoriaMetrics."""

import asyncio
import json
import os
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientSession, web
from servers import free_port, wait_for_port

from core.model import TELEMETRY
from storage import SAMPLES

TOKEN = "a-token-of-more-than-16-characters"
T0_US = 1_732_300_000_000_000

INFLUXD = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  max-series-per-database = 0
  max-values-per-tag = 0
[http]
  bind-address = "127.0.0.1:{http}"
  auth-enabled = false
  log-enabled = false
  max-body-size = {max_body}
[monitor]
  store-enabled = false
"""


def telemetry(helmets: list[bytes], seq: int = 0, boot: int = 1, t0_us: int = T0_US) -> np.ndarray:
    """One row for each helmet, with every column known."""
    rows = np.zeros(len(helmets), TELEMETRY)
    rows["helmet"] = helmets
    rows["t_us"] = t0_us + seq * 1_000_000
    rows["received_us"] = rows["t_us"] + 123_456
    rows["boot"], rows["seq"] = boot, seq
    for place, name in enumerate(n for n in TELEMETRY.names if TELEMETRY[n].kind == "f"):
        rows[name] = 1 / 3 + place
    rows["worn"], rows["strap"], rows["battery_pct"], rows["flags"] = 2, 1, 255, 8
    return rows


def raw_samples(
    helmet: bytes, seq: int = 0, t0_us: int = T0_US, boot: int = 1, count: int = 100
) -> np.ndarray:
    """The raw samples of one frame at 100 Hz; every other frame without a gyro."""
    rng = np.random.default_rng(seq)
    rows = np.zeros(count, SAMPLES)
    rows["helmet"], rows["boot"], rows["seq"] = helmet, boot, seq
    rows["t_us"] = t0_us + seq * 1_000_000 + np.arange(count) * 10_000
    for name in SAMPLES.names[4:]:
        rows[name] = rng.normal(size=count) if seq % 2 or name.endswith("_g") else np.nan
    return rows


class Influx1Shim:
    """The v2 write API in front of InfluxDB 1: what InfluxDB 1.8 and later answer, made of 1.6.7.

    `answer_with` makes it answer a status of its own instead; `hang` makes it answer only after a second, `deletes = False`
    makes it refuse InfluxQL's DELETE.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.port = free_port()
        self.answer_with: tuple[int, str] | None = None
        self.headers: dict[str, str] = {}
        self.hang = False
        self.deletes = True
        self.requests: list[tuple[dict[str, str], dict[str, str]]] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.run_until_complete(self._session.close())
        self._loop.close()

    async def _start(self) -> None:
        self._session = ClientSession()
        app = web.Application(client_max_size=100 * 2**20)
        app.router.add_post("/api/v2/write", self._write)
        app.router.add_route("*", "/query", self._query)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _write(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.query), dict(request.headers)))
        body = await request.read()  # aiohttp has unzipped it
        if self.hang:
            await asyncio.sleep(1)
            raise web.HTTPServiceUnavailable
        if self.answer_with:
            status, message = self.answer_with
            return web.json_response(
                {"code": "test", "message": message}, status=status, headers=self.headers
            )
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return web.json_response({"code": "unauthorized", "message": "unauthorized access"}, status=401)
        bucket, _, policy = request.query["bucket"].partition("/")
        query = {"db": bucket, "precision": request.query["precision"]} | ({"rp": policy} if policy else {})
        async with self._session.post(f"{self.upstream}/write", params=query, data=body) as answer:
            if answer.status < 300:
                return web.Response(status=204)
            message = json.loads(await answer.text())["error"]
            return web.json_response({"code": "invalid", "message": message}, status=answer.status)

    async def _query(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return web.json_response({"error": "unauthorized"}, status=401)
        if request.method == "POST" and not self.deletes:
            return web.json_response({"error": "method not allowed"}, status=405)
        url = f"{self.upstream}/query"
        async with self._session.request(request.method, url, params=request.query) as answer:
            return web.Response(
                body=await answer.read(), status=answer.status, content_type="application/json"
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@dataclass
class Influx1:
    """InfluxDB 1.6.7 and the shim before it."""

    url: str
    shim: Influx1Shim
    databases: list[str] = field(default_factory=list)

    def execute(self, influxql: str) -> dict:
        data = urllib.parse.urlencode({"q": influxql}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data, timeout=10) as answer:  # noqa: S310
            return json.load(answer)["results"][0]

    def database(self) -> str:
        """A new, empty database."""
        name = f"db{len(self.databases)}"
        self.databases.append(name)
        assert "error" not in self.execute(f"CREATE DATABASE {name}")
        return name


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="session")
def influx1_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx1]:
    folder = tmp_path_factory.mktemp("influxd")
    http = free_port()
    conf = folder / "influxdb.conf"
    conf.write_text(INFLUXD.format(folder=folder, http=http, rpc=free_port(), max_body=1_000_000))
    process = subprocess.Popen(
        ["influxd", "run", "-config", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(http, process, 30)
        shim = Influx1Shim(f"http://127.0.0.1:{http}")
        yield Influx1(f"http://127.0.0.1:{http}", shim)
        shim.close()
    finally:
        _stop(process)


@pytest.fixture
def influx1(influx1_server: Influx1) -> Iterator[Influx1]:
    """The shared server, with a shim that tells the truth at the beginning of each test."""
    shim = influx1_server.shim
    yield influx1_server
    shim.answer_with, shim.hang, shim.deletes, shim.headers = None, False, True, {}
    shim.requests.clear()


@dataclass
class Victoria:
    """A running VictoriaMetrics."""

    url: str
    process: subprocess.Popen[bytes]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
            return answer.read()

    def samples(self, metric: str) -> dict[str, list[tuple[int, float]]]:
        """What is stored of one metric: for each helmet, pairs of milliseconds and value."""
        self._get("/internal/force_flush")
        export = self._get(f"/api/v1/export?match[]={metric}&reduce_mem_usage=1").decode()
        out = {}
        for line in export.splitlines():
            series = json.loads(line)
            pairs = list(zip(series["timestamps"], series["values"], strict=True))
            out.setdefault(series["metric"]["helmet"], []).extend(pairs)
        return out


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victoria]:
    port = free_port()
    process = subprocess.Popen(
        [
            "victoria-metrics",
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-storageDataPath={tmp_path_factory.mktemp('victoria')}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",
            "-memory.allowedPercent=20",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GOMAXPROCS": "1"},
    )
    try:
        wait_for_port(port, process, 30)
        yield Victoria(f"http://127.0.0.1:{port}", process)
    finally:
        _stop(process)


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HELMETWATCH_INFLUX_TOKEN", raising=False)
    path = tmp_path / "influx-token"
    path.write_text(TOKEN + "\n")
    return path
