"""Where the accelerometer sits in the helmet: in the liner, by the head, or on the shell.

The shell meets the ground before the foam gives way: the same change of speed takes a quarter of the time, and
the shell rings. How much it rattles in everyday riding is a planning figure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mount:
    """What a place makes of a strike and of shaking."""

    name: str
    contact: float
    """Contact time, as a share of the liner's 6 to 14 ms."""
    restitution: tuple[float, float]
    rings: float
    """Ringing at 100 to 400 Hz, as a share of the pulse's peak."""
    rattle: float
    """Noise above 30 Hz, as a share of the shaking."""


LINER = Mount("liner", 1.0, (0.1, 0.35), 0.0, 0.0)
SHELL = Mount("shell", 0.25, (0.2, 0.4), 0.3, 0.15)
MOUNTS = {mount.name: mount for mount in (LINER, SHELL)}
