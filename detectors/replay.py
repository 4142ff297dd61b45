"""The decisions behind a message, made again from what the message carries."""

import base64
import math

import numpy as np

from core.config import Detection as Params
from core.model import Detection, Trace
from detectors.calibration import RAIL, Fix
from detectors.features import Frame, Head
from detectors.watch import Decision, Watch
from detectors.window import Window, most_counts


def replay(detection: Detection, params: Params | None = None) -> list[Decision]:
    """Every decision up to the one that the message tells, which is the last.

    By the code that made them, from the message's own trace and options: it says again what was said then, except what
    a gyroscope adds, which decides nothing. Other options (`params`) show what they would have said. Empty where they
    would have said nothing. Raises `ValueError` where the message has no trace.
    """
    trace = detection.trace
    if trace is None:
        raise ValueError(f"incident {detection.incident} has no trace: nothing to replay")
    first = round((detection.impacts_us[0] - trace.t0_us) * 1000 / trace.period_ns)
    heard = [_frame(detection, trace, *frame) for frame in trace.frames]
    params = params or Params.model_validate(detection.options)
    watch = Watch(_window(trace), trace.full_scale_g, params, heard, scan=first)
    decisions = watch.feed()
    return decisions + watch.settle() if detection.signal_lost else decisions


def _window(trace: Trace) -> Window:
    counts = np.frombuffer(base64.b64decode(trace.acc), "<i2").reshape(-1, 3).astype(np.int16)
    missing = np.zeros(len(counts), np.bool_)
    for start, stop in trace.missing:
        missing[start:stop] = True
    fix = None
    if trace.correction:
        offset_g, gain = np.array(trace.correction).reshape(2, 3)
        fix = Fix(offset_g, gain, RAIL * trace.full_scale_g)
    most = most_counts(trace.full_scale_g, trace.g_per_count)
    return Window(0, counts, missing, 1e9 / trace.period_ns, trace.g_per_count, most, fix)


def _frame(d: Detection, trace: Trace, start: int, end: int, speed_mps: float | None, worn: int) -> Frame:
    t0_us = trace.t0_us + start * trace.period_ns // 1000
    head = Head(d.helmet, d.boot, d.seq, t0_us, d.received_us, d.position)
    return Frame(start, end, math.nan if speed_mps is None else speed_mps, worn, head)
