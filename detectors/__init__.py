"""Crash detection: frames of many helmets in, detections out. Pure and vectorised; see docs/detection.md."""

from detectors.burst import Breaker
from detectors.fleet import Fleet
from detectors.offline import Incident, detect_recording
from detectors.replay import replay

__all__ = ["Breaker", "Fleet", "Incident", "detect_recording", "replay"]
