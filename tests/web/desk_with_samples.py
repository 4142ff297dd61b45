"""A desk to look at: an account, alerts in all states with traces, a fleet that rides, a crash every 30 s.

`.venv/bin/python tests/web/desk_with_samples.py --port 8099`. Everything in it is invented; it is gone at the end.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import math
import random
import secrets
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import aiohttp
import numpy as np

from core.clock import SystemClock
from core.config import Config
from core.model import Detection, HelmetReport, Kind, Position, Stage, Trace, WorkerReport, Worn
from web.accounts import Role, add_account
from web.desk import run

CENTRE = (22.5431, 114.0579)
NAMES = [
    "王伟",
    "李娜",
    "张敏",
    "刘洋",
    "陈静",
    "杨帆",
    "赵磊",
    "黄丽",
    "周杰",
    "吴桐",
    "徐强",
    "孙悦",
    "马超",
    "朱琳",
    "胡军",
    "郭敏",
    "何平",
    "林涛",
    "高翔",
    "罗兰",
]
TOKEN = secrets.token_urlsafe(24)


def crash_trace(
    rng: random.Random, t_us: int, peak_g: float, impacts: int = 1, speed_mps: float = 6.0
) -> Trace:
    """Riding, one or more blows, then lying on the side: 20 s at 100 Hz on a ±16 g part."""
    noise = np.random.default_rng(rng.getrandbits(32))
    t_s = np.arange(2000) / 100 - 10
    acc_g = noise.normal(0, 0.15, (2000, 3))
    acc_g[t_s < 0, 2] += 1
    acc_g[t_s >= 0, 0] += 0.96
    for k in range(impacts):
        at_s = k * 0.8
        blow = np.exp(-(((t_s - at_s) / 0.02) ** 2)) * np.where(t_s >= at_s - 0.04, 1, 0)
        acc_g += blow[:, None] * np.array([0.5, 0.75, -0.43]) * peak_g / (k + 1)
    acc_g[t_s > 1.5] = noise.normal(0, 0.02, (int((t_s > 1.5).sum()), 3)) + np.array([0.96, 0.2, 0.15])
    g_per_count = 16 / 32768
    counts = np.clip(np.round(acc_g / g_per_count), -32768, 32767).astype("<i2")
    return Trace(
        t_us - 10_000_000,
        10_000_000,
        g_per_count,
        16.0,
        base64.b64encode(counts.tobytes()).decode(),
        frames=[
            (k * 100, k * 100 + 100, speed_mps * rng.uniform(0.9, 1) if k < 10 else 0.0, Worn.YES)
            for k in range(20)
        ],
    )


def crash(rng: random.Random, helmet: str, t_us: int, now_us: int, **changes: object) -> Detection:
    """A plausible finding."""
    kind = rng.choice([Kind.HEAD_STRIKE, Kind.FALL, Kind.HEAD_STRIKE, Kind.HELMET_LOST])
    peak_g, speed_kmh = rng.uniform(6, 22), rng.uniform(8, 42)
    severity = 1 + (peak_g > 8) + (peak_g > 12) + (peak_g > 17)
    return replace(
        Detection(
            incident=hashlib.blake2b(f"{helmet} {t_us}".encode(), digest_size=16).hexdigest(),
            version=1,
            helmet=helmet,
            kind=kind,
            stage=Stage.STANDARD,
            severity=severity,
            severity_basis="lower_bound" if peak_g > 15 else "kinematic",
            quality="C" if peak_g > 15 else "B",
            occurred_us=t_us,
            impacts_us=[t_us],
            received_us=t_us + 420_000,
            detected_us=min(now_us, t_us + 460_000),
            boot=3,
            seq=rng.randrange(10_000),
            reason_zh=f"头部撞击 {peak_g:.1f} g，车速从 {speed_kmh:.0f} km/h 降到 0，之后 2 秒不动",
            reason_en=f"Head impact of {peak_g:.1f} g, from {speed_kmh:.0f} km/h to standstill, then still for 2 s",
            worn=Worn.YES if kind is not Kind.HELMET_LOST else Worn.NO,
            speed_mps=speed_kmh / 3.6,
            position=Position(
                CENTRE[0] + rng.uniform(-0.04, 0.04), CENTRE[1] + rng.uniform(-0.06, 0.06), 5.0, 0.6
            ),
            features={
                "peak_g": peak_g,
                "delta_v_mps": speed_kmh / 3.6,
                "tilt_deg": 84.0,
                "still_s": 2.0,
                "speed_mps": speed_kmh / 3.6,
                "speed_after_mps": 0.0,
                "violence_g": peak_g / 9,
            },
            points={"impact": 2.1, "dv20": 1.4, "tilt": 0.8, "still": 1.0, "moving": -0.5},
            detector="sample-1",
            trace=crash_trace(rng, t_us, peak_g, 1 + (severity > 2), speed_kmh / 3.6),
        ),
        **changes,
    )


class Samples:
    """Talks to the desk as a worker and as two people."""

    def __init__(self, url: str, passwords: dict[str, str]) -> None:
        self.url, self.passwords = url, passwords
        self.rng = random.Random(7)
        self.clock = SystemClock()
        self.worker = aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {TOKEN}"})
        self.people: dict[str, aiohttp.ClientSession] = {}

    async def sign_in(self) -> None:
        """Both people sign in."""
        for name, password in self.passwords.items():
            # An unsafe jar keeps cookies of a bare address such as 127.0.0.1.
            self.people[name] = aiohttp.ClientSession(self.url, cookie_jar=aiohttp.CookieJar(unsafe=True))
            body = {"name": name, "password": password}
            async with self.people[name].post("/api/v1/session", json=body) as answer:
                assert answer.status == 200, await answer.text()

    async def close(self) -> None:
        """Hangs up."""
        for client in (self.worker, *self.people.values()):
            await client.close()

    async def tell(self, *detections: Detection) -> None:
        """A worker posts detections."""
        body = [asdict(each) for each in detections]
        async with self.worker.post("/api/v1/detections", json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def event(self, helmet: str, type_: str, t_us: int) -> None:
        """A rider presses a button."""
        body = [
            {
                "helmet": helmet,
                "type": type_,
                "t_us": t_us,
                "received_us": self.clock.now_us(),
                "lat_deg": CENTRE[0] + 0.01,
                "lon_deg": CENTRE[1] - 0.02,
            }
        ]
        async with self.worker.post("/api/v1/events", json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def act(self, who: str, detection: Detection, verb: str, **body: str) -> None:
        """A person does something."""
        path = f"/api/v1/alerts/{detection.incident}/{verb}"
        async with self.people[who].post(path, json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def fill(self) -> None:
        """A dozen alerts in all states."""
        now_us, rng = self.clock.now_us(), self.rng
        found = [crash(rng, f"SF-{n:06d}", now_us - (14 - n) * 150_000_000, now_us) for n in range(1, 14)]
        await self.tell(*found[:9])
        await self.tell(*(replace(each, version=2, stage=Stage.CONFIRMED) for each in found[:7]))
        for n, reason in enumerate(["injured", "helmet_dropped", "road_bump"]):
            await self.act("demo", found[n], "acknowledge")
            await self.act("demo", found[n], "note", note="打过电话了 / called the rider")
            await self.act("demo", found[n], "resolve", reason=reason, note="")
        await self.act("li", found[3], "acknowledge")
        await self.act("demo", found[4], "acknowledge")
        second_us = found[4].occurred_us + 60_000_000
        await self.tell(
            replace(found[4], version=3, impacts_us=[found[4].occurred_us, second_us], severity=4)
        )
        await self.act("li", found[5], "acknowledge")
        await self.tell(replace(found[5], version=3, stage=Stage.CANCELLED))
        await self.event(found[7].helmet, "ok", found[7].occurred_us + 9_000_000)
        await self.tell(replace(found[8], version=2, stage=Stage.CANCELLED))
        await self.event("SF-000040", "sos", now_us - 20_000_000)
        lately_us = self.clock.now_us()
        await self.tell(
            replace(found[9], late=True, received_us=lately_us, detected_us=lately_us),
            replace(found[10], signal_lost=True, position=None, severity=3, detected_us=lately_us),
        )

    async def ride(self) -> None:
        """A hundred helmets on the move, reported every 2 s; every fourteenth is not worn."""
        started_us, frames = self.clock.now_us(), 0
        while True:
            now_us = self.clock.now_us()
            t_s = (now_us - started_us) / 1e6
            frames += 200
            report = WorkerReport(
                "worker-1", now_us, True, frames, frames // 5000, 100.0, 0, 0.04, 0, 12,
                [self.helmet(n, now_us, t_s) for n in range(1, 101) if n % 25 or t_s < 30],
            )  # fmt: skip
            async with self.worker.post("/api/v1/report", data=json.dumps(asdict(report)),
                                        headers={"Content-Type": "application/json"}) as answer:  # fmt: skip
                assert answer.status == 200, await answer.text()
            await asyncio.sleep(2)

    def helmet(self, n: int, now_us: int, t_s: float) -> HelmetReport:
        """Where helmet n is by now: it rides round its own block."""
        radius, turn = 0.004 + 0.0004 * n, t_s / (40 + n) + n
        return HelmetReport(
            helmet=f"SF-{n:06d}",
            t_us=now_us - 300_000,
            received_us=now_us - 100_000,
            worn=Worn.NO if n % 14 == 0 else Worn.YES,
            battery_pct=max(3, 100 - n - int(t_s / 60)),
            speed_mps=abs(6 * math.sin(turn * 3)),
            lat_deg=CENTRE[0] + radius * math.cos(turn),
            lon_deg=CENTRE[1] + radius * math.sin(turn),
            accuracy_m=5.0,
            online=n % 33 != 0,
        )

    async def crashes(self, every_s: float) -> None:
        """One after the other, each taken through the detector's stages; a third are taken back by the rider."""
        for n in range(50, 10_000):
            helmet, t_us = f"SF-{n % 100 + 1:06d}", self.clock.now_us() - 450_000
            fast = crash(self.rng, helmet, t_us, self.clock.now_us(), stage=Stage.FAST)
            await self.tell(fast)
            await asyncio.sleep(1.6)
            await self.tell(replace(fast, version=2, stage=Stage.STANDARD))
            if n % 3 == 0:
                await asyncio.sleep(6)
                await self.event(helmet, "ok", self.clock.now_us())
            elif n % 3 == 1:
                await asyncio.sleep(8)
                await self.tell(replace(fast, version=3, stage=Stage.CONFIRMED))
            await asyncio.sleep(every_s)


async def main() -> None:
    """Starts the desk and keeps it busy until Ctrl-C."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8099)
    options.add_argument("--every", type=float, default=30.0, help="seconds between two crashes")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        riders = Path(folder) / "riders.csv"
        rows = [f"SF-{n:06d},{NAMES[n % len(NAMES)]},+86138000{n:05d}" for n in range(1, 90)]
        riders.write_text("helmet,name,phone\n" + "\n".join(rows), encoding="utf-8")
        book = Path(folder) / "alerts.db"
        config = Config.model_validate(
            {"alerts": {"path": str(book), "riders_file": str(riders)}, "web": {"port": given.port}}
        )
        passwords = {
            "demo": add_account(book, "demo", "王芳", Role.SUPERVISOR),
            "li": add_account(book, "li", "李明", Role.SUPERVISOR),
        }
        listening: asyncio.Queue[str] = asyncio.Queue()
        desk = asyncio.create_task(run(config, SystemClock(), TOKEN, listening=listening.put_nowait))
        started = asyncio.create_task(listening.get())
        await asyncio.wait({desk, started}, return_when=asyncio.FIRST_COMPLETED)
        if desk.done():
            started.cancel()
            return desk.result()
        samples = Samples(started.result(), passwords)
        await samples.sign_in()
        await samples.fill()
        for name, password in passwords.items():
            print(f"{started.result()}  name {name}  password {password}", flush=True)  # noqa: T201
        busy = [asyncio.create_task(samples.ride()), asyncio.create_task(samples.crashes(given.every))]
        await asyncio.wait({desk, *busy}, return_when=asyncio.FIRST_COMPLETED)
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await samples.close()
        return await desk


if __name__ == "__main__":
    asyncio.run(main())
