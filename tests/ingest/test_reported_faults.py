"""The desk hears which helmets have which sensor faults now, and when a fault has passed."""

import numpy as np
from frames import NOW_US, frames

from core.config import Config
from ingest.codec import Message, encode_motion, topic
from ingest.pipeline import Pipeline


def sent(helmet: str, second: int, frozen: bool) -> Message:
    """A second of a helmet at rest, or of one whose sensor repeats one sample."""
    acc = np.random.default_rng(second).normal([0, 0, 2048], 20, (1, 100, 3)).astype(np.int16)
    if frozen:
        acc[:] = acc[:, :1]
    frame = frames(acc, helmet=helmet, boot=1, seq=second, t0_us=NOW_US + second * 1_000_000)
    return Message(topic(helmet, "motion"), encode_motion(frame)[0], NOW_US + (second + 1) * 1_000_000)


def test_a_fault_is_reported_with_its_helmet_and_gone_from_the_report_when_it_has_passed() -> None:
    pipeline = Pipeline(Config())
    told: list[dict[str, list[str]]] = []
    for second in range(12):
        messages = [sent("SF-1", second, frozen=2 <= second < 6), sent("SF-2", second, frozen=False)]
        pipeline.process(messages, NOW_US + (second + 1) * 1_000_000)
        told.append({report.helmet: report.faults for report in pipeline.reports()})
    assert {"SF-1": ["frozen"], "SF-2": []} in told
    assert told[-1] == {"SF-1": [], "SF-2": []}
