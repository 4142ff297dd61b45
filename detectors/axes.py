"""Three columns at once: numpy's own reductions over an axis of three are ten times as slow."""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def largest(a: F32) -> F32:
    """The largest of each row of (m, 3)."""
    return np.asarray(np.maximum(np.maximum(a[:, 0], a[:, 1]), a[:, 2]))


def middle(a: F32) -> F32:
    """The middle one of each row of (m, 3)."""
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    return np.asarray(np.maximum(np.minimum(x, y), np.minimum(np.maximum(x, y), z)))


def length(a: F32) -> F32:
    """The length of each row of (m, 3)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", a, a)))


def product(a: F32, b: F32) -> F32:
    """The scalar product of the rows of (m, 3) and (m, 3)."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


def every(a: Mask) -> Mask:
    """Whether all three of each row of (m, 3) hold."""
    return np.asarray(a[:, 0] & a[:, 1] & a[:, 2])


def some(a: Mask) -> Mask:
    """Whether at least one of each row of (m, 3) holds."""
    return np.asarray(a[:, 0] | a[:, 1] | a[:, 2])
