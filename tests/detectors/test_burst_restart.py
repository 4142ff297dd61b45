"""A worker that dies in a burst: through codec, sequence, detector, breaker and journal.

Verification case: V37.
"""

import json
import shutil
from functools import cache

from motion_cases import T0_US, crash, frames

from core.config import Config
from ingest.codec import Message, encode_motion, topic
from ingest.journal import Journal, Taken, Tick
from ingest.outbox import Outbox
from ingest.pipeline import Pipeline

CONFIG = Config.model_validate({"detectors": {"burst_alerts": 10}, "ingest": {"journal": {"raw_s": 25}}})
NOTHING = Taken([], [])
HELMETS, SECONDS = 14, 40


@cache
def sent():
    """Helmets that fall gently within three seconds, two of them struck hard: their messages by second."""
    cases = [
        crash(k, peak_g=peak_g, width_s=width_s, before_s=18 + k / 5, after_s=24)
        for k in range(HELMETS)
        for peak_g, width_s in [(60.0, 0.05) if k % 7 == 0 else (5.0, 0.25)]
    ]
    return [
        [message(f"SF-{k}", second, case.counts[second * 100 :][:100]) for k, case in enumerate(cases)]
        for second in range(SECONDS)
    ]


def message(helmet, second, part):
    f = frames([(helmet, second, second * 100, part)], speed_mps=9.0)
    return Message(topic(helmet, "motion"), encode_motion(f)[0], T0_US + (second + 1) * 1_000_000)


def begin(path):
    """As a worker starts."""
    path.parent.mkdir(exist_ok=True)
    journal, pipeline = Journal(path, CONFIG.ingest.journal.raw_s), Pipeline(CONFIG)
    pipeline.remember(journal.numbers(), journal.learned())
    for now_us, block in journal.raw():
        journal.commit(Tick(now_us, detections=pipeline.replay(block, now_us).detections), NOTHING)
    pipeline.go_on(journal.burst())
    return journal, pipeline


def delivered(folder, kills):
    """What the desk gets of these crashes, the worker killed after some seconds."""
    folder.mkdir()
    path = folder / "0" / "j.db"
    journal, pipeline = begin(path)
    for second, messages in enumerate([*sent(), *[[]] * 5]):
        journal.commit(pipeline.process(messages, T0_US + (second + 1) * 1_000_000)[0], NOTHING)
        if second in kills:
            left = shutil.copytree(path.parent, folder / f"{second}")
            journal.close()
            path = left / "j.db"
            journal, pipeline = begin(path)
    outbox = Outbox(path)
    bodies = [w.body for w in outbox.waiting(0, 10**6)]
    outbox.close()
    journal.close()
    return bodies


def test_v37_a_burst_of_crashes_comes_out_whole_whenever_the_worker_is_killed(tmp_path):
    whole = delivered(tmp_path / "whole", set())
    read = [json.loads(body) for body in whole]
    assert {d["helmet"] for d in read if d["severity"] >= 3} >= {"SF-0", "SF-7"}
    assert {d["helmet"] for d in read if d["stage"] == "confirmed"} == {f"SF-{k}" for k in range(HELMETS)}
    for kills in ({20, 22, 24}, {21}, {23, 29, 37}, {27}, {31, 34}):
        assert delivered(tmp_path / str(min(kills)), kills) == whole, kills
