"""The command line and the places where the stages are put together."""

import os

# Our matrices are too small to share out; OpenBLAS's idle helpers would spin on the cores of broker and desk. It
# reads this once, when NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
