"""A real desk on a free port for one test: `@on_desk` makes a test of a coroutine that gets one."""

import asyncio
import functools
import inspect
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from core.clock import ManualClock
from core.config import Config
from core.model import Detection, HelmetReport, Kind, Stage, WorkerReport, Worn
from web.accounts import Role, add_account
from web.desk import run

TOKEN = "a-token-of-the-tests-0123456789"
START_US = 1_700_000_000_000_000


def detection(
    incident: str = "crash", version: int = 1, stage: Stage = Stage.STANDARD, **changes: Any
) -> Detection:
    """A finding."""
    body: dict[str, Any] = {
        "helmet": "SF-000001",
        "kind": Kind.HEAD_STRIKE,
        "severity": 2,
        "severity_basis": "kinematic",
        "quality": "B",
        "occurred_us": START_US,
        "impacts_us": [START_US],
        "received_us": START_US,
        "detected_us": START_US,
        "boot": 1,
        "seq": 7,
        "reason_zh": "头部撞击",
        "reason_en": "Head impact",
    }
    return Detection(incident=incident, version=version, stage=stage, **(body | changes))


def helmet(name: str = "SF-000001", **changes: Any) -> HelmetReport:
    """Where a helmet is."""
    body: dict[str, Any] = {
        "t_us": START_US,
        "received_us": START_US,
        "worn": Worn.YES,
        "battery_pct": 80,
        "speed_mps": 5.0,
        "lat_deg": 22.5,
        "lon_deg": 114.0,
        "accuracy_m": 4.0,
    }
    return HelmetReport(helmet=name, **(body | changes))


def report(*helmets: HelmetReport, worker: str = "worker-1") -> WorkerReport:
    """What a worker says."""
    return WorkerReport(worker, START_US, True, 10, 0, 1.0, 0, 0.1, 0, 0, list(helmets))


@dataclass
class Feed:
    """One open feed, read event by event."""

    answer: aiohttp.ClientResponse

    async def next(self, *names: str) -> dict[str, Any]:
        """The next event with one of these names: its data, `event` and `id`.

        Without names all but those that come by themselves: beats, and the ledgers of a desk that has just begun.
        """
        async with asyncio.timeout(20):
            while True:
                event = await self._read()
                if event["event"] in names or (not names and event["event"] not in ("beat", "deliveries")):
                    return event

    async def at_end(self) -> bool:
        """Whether the desk ends the feed; reads what is left."""
        async with asyncio.timeout(20):
            try:
                while await self.answer.content.readline():
                    pass
            except aiohttp.ClientError:
                pass
            return True

    async def _read(self) -> dict[str, Any]:
        fields: dict[str, str] = {}
        while True:
            line = (await self.answer.content.readline()).decode()
            if not line:
                raise EOFError("the feed has ended")
            if line == "\n" and "data" in fields:
                return json.loads(fields["data"]) | {"event": fields["event"], "id": fields.get("id")}
            if line == "\n":
                fields = {}
            else:
                key, _, value = line.rstrip("\n").partition(": ")
                fields[key] = value


@dataclass
class Running:
    """A desk, its clock, and clients that talk to it as a worker, as people, and as nobody."""

    folder: Path
    clock: ManualClock
    config: Config
    url: str
    passwords: dict[str, str]
    clients: list[aiohttp.ClientSession] = field(default_factory=list)

    def client(self, **headers: str) -> aiohttp.ClientSession:
        """A client with a cookie jar of its own."""
        made = aiohttp.ClientSession(self.url, headers=headers, cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.clients.append(made)
        return made

    @property
    def nobody(self) -> aiohttp.ClientSession:
        return self.client()

    @property
    def worker(self) -> aiohttp.ClientSession:
        return self.client(Authorization=f"Bearer {TOKEN}")

    async def person(self, name: str = "wang") -> aiohttp.ClientSession:
        """Somebody who is signed in."""
        client = self.client()
        answer = await client.post("/api/v1/session", json={"name": name, "password": self.passwords[name]})
        assert answer.status == 200, await answer.text()
        return client

    async def tell(self, *found: Detection) -> None:
        """A worker delivers."""
        answer = await self.worker.post("/api/v1/detections", json=[asdict(each) for each in found])
        assert answer.status == 200, await answer.text()

    async def report(self, given: WorkerReport) -> None:
        """A worker reports."""
        answer = await self.worker.post("/api/v1/report", json=asdict(given))
        assert answer.status == 200, await answer.text()

    @asynccontextmanager
    async def feed(
        self, client: aiohttp.ClientSession, after: int | str | None = None
    ) -> AsyncIterator[Feed]:
        """The live feed, from the snapshot on or after an id."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        async with client.get("/api/v1/feed", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            yield Feed(answer)


@asynccontextmanager
async def desk(
    folder: Path,
    clock: ManualClock,
    passwords: dict[str, str],
    alerts: dict[str, Any] | None = None,
    **web: Any,
) -> AsyncIterator[Running]:
    """A desk on a file in `folder`, from start to a clean stop."""
    book = {"path": str(folder / "alerts.db")}
    config = Config.model_validate({"alerts": book | (alerts or {}), "web": {"port": 0} | web})
    stop, started = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(config, clock, TOKEN, listening=started.set_result, stop=stop))
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    running = Running(folder, clock, config, started.result(), passwords)
    try:
        yield running
    finally:
        for client in running.clients:
            await client.close()
        stop.set()
        await asyncio.wait_for(task, 10)


@functools.cache
def book_with_people() -> tuple[bytes, dict[str, str]]:
    """An alert book with two supervisors, and their passwords. Made once: hashing is slow on purpose."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "alerts.db"
        people = {"wang": "王芳", "li": "李明"}
        passwords = {key: add_account(path, key, shown, Role.SUPERVISOR) for key, shown in people.items()}
        return path.read_bytes(), passwords


def on_desk(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a coroutine test on a fresh desk with the accounts wang (王芳) and li (李明)."""

    async def whole(arguments: dict[str, Any]) -> None:
        book, passwords = book_with_people()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "alerts.db").write_bytes(book)
            async with desk(folder, ManualClock(START_US), passwords) as running:
                await test(running, **arguments)

    @functools.wraps(test)
    def run_it(**arguments: Any) -> None:
        asyncio.run(whole(arguments))

    # pytest would take the desk, which comes first, for a fixture.
    parameters = list(inspect.signature(test).parameters.values())[1:]
    run_it.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run_it


def with_riders_file(
    riders: str,
) -> Callable[[Callable[[Running], Awaitable[None]]], Callable[[], None]]:
    """Makes a test of a story on a desk that has this file of riders and no other."""

    def of(story: Callable[[Running], Awaitable[None]]) -> Callable[[], None]:
        async def whole() -> None:
            book, passwords = book_with_people()
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                (folder / "alerts.db").write_bytes(book)
                (folder / "riders.csv").write_text(riders, encoding="utf-8")
                alerts = {"riders_file": str(folder / "riders.csv")}
                async with desk(folder, ManualClock(START_US), passwords, alerts=alerts) as running:
                    await story(running)

        def test() -> None:
            asyncio.run(whole())

        test.__name__ = story.__name__
        return test

    return of
