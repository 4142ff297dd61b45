"""Speed and latency, measured side by side in one run; never a timed test."""

import app  # noqa: F401  (before NumPy: OpenBLAS gets the one thread that it has in the worker)
