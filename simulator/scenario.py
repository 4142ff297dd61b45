"""What a run contains: how many helmets of which kind, what befalls them and when."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from simulator.day import Shift
from simulator.faults import NO_FAULTS, ClockFault, Faults, Flat, Reboot, SensorFault, Spell
from simulator.sensor import FAST, HIGH_G, STANDARD, Part
from simulator.splice import Expected, Splice

Kind = Literal[
    "head_strike",
    "fall",
    "low_side",
    "car_hit",
    "ride_on",
    "drop",
    "door",
    "table",
    "handlebar",
    "washing",
    "brake",
    "head_turn",
    "stand_up",
    "jump",
    "bump",
    "pothole",
    "kerb",
    "sos",
    "ok",
    "splice",
]

Answer = Literal["ok", "sos", "silence"]

EXPECTED: dict[Kind, Expected] = {
    "head_strike": "alert",
    "fall": "alert",
    "low_side": "alert",
    "car_hit": "alert",
    "ride_on": "cancel",
    "drop": "none",
    "door": "none",
    "table": "none",
    "handlebar": "none",
    "washing": "none",
    "brake": "none",
    "head_turn": "none",
    "stand_up": "none",
    "jump": "none",
    "bump": "none",
    "pothole": "none",
    "kerb": "none",
    "sos": "alert",
}
"""What a good detector makes of each; "ok" is an answer, not a happening to be found, and what a spliced recording
holds is known of that recording alone."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that befalls one helmet.

    It happens at `t_s` after the start, or as soon after it as the helmet is in a position for it: a crash
    needs a rider at speed, a drop an unworn helmet. `ok_after_s` is when the rider says "I'm OK", if at all;
    `up_after_s` is when one who fell stands up again, None for two to four minutes.
    """

    t_s: float
    kind: Kind
    helmet: int
    ok_after_s: float | None = None
    up_after_s: float | None = None
    answer: Answer | None = None
    """What the rider says when asked "are you all right?"; None is "ok" of who has not crashed, else silence."""
    by_rate: bool = False
    """Whether chance set the time: a few may come too late to find the helmet in a position for them."""
    splice: Splice | None = field(default=None, compare=False)
    """The recording that the rider lives through, for the kind `splice`."""

    @property
    def name(self) -> str:
        """What the ledger calls it: its kind, or the recording's folder and number."""
        return self.splice.recording.name if self.splice else self.kind

    @property
    def expected(self) -> Expected | None:
        """What a good system makes of it in the end; None for the rider's own "I'm OK"."""
        expected = self.splice.expected if self.splice else EXPECTED.get(self.kind)
        if self.ok_after_s is not None and expected == "alert":
            return "cancel"
        return expected


@dataclass(frozen=True, slots=True)
class Outage:
    """One helmet is out of coverage; it keeps its frames and sends them, oldest first, when it is back."""

    helmet: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Group:
    """Helmets of one kind; None leaves a property to the scenario's shares."""

    helmets: int
    part: Part | None = None
    riding: bool | None = None
    vehicle: Literal["ebike", "scooter"] | None = None
    position: bool | None = None
    wear_sensor: bool | None = None
    hangs: bool = False
    """On the handlebar of a vehicle that rides, not worn."""
    boxed: bool = False
    """In the delivery box of a vehicle that rides, not worn."""
    sensor: Literal["liner", "shell"] = "liner"
    """Where the accelerometer sits."""
    day: Shift | None = None
    """A whole working day, instead of riding on and on."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run. The same scenario gives the same bytes of every helmet, whoever else takes part."""

    name: str
    helmets: int
    seed: int = 1
    prefix: str = "SF-"
    """A helmet's id is this and six digits, counting from 1."""
    parts: tuple[tuple[Part, float], ...] = ((STANDARD, 1.0),)
    """Kinds of accelerometer and their shares."""
    riding: float = 0.85
    """Share of helmets that ride at the start."""
    rough_spots_per_h: float = 12.0
    """Bumps, potholes and kerbs in an hour of riding (planning figure, not measured)."""
    without_position: float = 0.05
    without_wear_sensor: float = 0.05
    happenings: tuple[Happening, ...] = ()
    outages: tuple[Outage, ...] = ()
    faults: Faults = NO_FAULTS
    groups: tuple[Group, ...] = ()
    """What the helmets are, in order; without it all are drawn from the shares above."""
    spells: tuple[Spell, ...] = ()
    sensor_faults: tuple[SensorFault, ...] = ()
    clock_faults: tuple[ClockFault, ...] = ()
    reboots: tuple[Reboot, ...] = ()
    flats: tuple[Flat, ...] = ()
    answers: bool = True
    """Whether a rider who is asked and has not crashed says "I'm OK"."""

    def group(self, index: int) -> Group | None:
        """The group of a helmet by its place in the fleet."""
        for group in self.groups:
            if index < group.helmets:
                return group
            index -= group.helmets
        return None

    def helmet_id(self, index: int) -> str:
        """Id of a helmet by its place in the fleet."""
        return f"{self.prefix}{index + 1:06d}"


_DEMO_KINDS: tuple[tuple[Kind, float | None], ...] = (
    ("head_strike", None),
    ("drop", None),
    ("fall", None),
    ("ride_on", None),
    ("sos", None),
    ("car_hit", None),
    ("head_strike", 12.0),
    ("drop", None),
    ("fall", 10.0),
    ("door", None),
)


_CAST = 20
"""How many of a fleet the demonstration's script is about: the first ones, so that further helmets change nothing."""
_BARE_EVERY = 33
"""One of so many rides with the helmet in the box."""


def demo(helmets: int = 100, seed: int = 1, hours: float = 72.0) -> Scenario:
    """A day at work: 20 s after the start the first crash, then something every 60 to 90 s.

    It befalls the first twenty in turn; of a smaller fleet those who are there. Three of a hundred ride with the helmet
    in the box, so that wear rates have something to show; nothing else befalls them.
    """
    rng = np.random.default_rng((seed, 1))
    happenings, t_s, turn = [], 20.0, 0
    order = [
        *(1 + rng.permutation(_CAST - 1)).tolist(),
        0,
    ]  # popped from the end: the first helmet is always there
    while t_s < hours * 3600:
        if not order:  # everyone has a turn before anyone has two: a crashed rider needs time to get up
            order = rng.permutation(_CAST).tolist()
        kind, ok_after_s = _DEMO_KINDS[turn % len(_DEMO_KINDS)]
        happenings.append(Happening(t_s, kind, order.pop(), ok_after_s))
        t_s, turn = t_s + float(rng.uniform(60, 90)), turn + 1
    there = tuple(h for h in happenings if h.helmet < helmets)
    parts = ((STANDARD, 0.7), (FAST, 0.2), (HIGH_G, 0.1))
    worn, bare = Group(_BARE_EVERY - 1), Group(1, wear_sensor=True, position=True, boxed=True)
    groups = (worn, bare) * (1 + helmets // _BARE_EVERY)
    return Scenario("demo", helmets, seed, parts=parts, happenings=there, groups=groups)


def load(helmets: int, duration_s: float, crashes_per_h: float = 60.0, seed: int = 1) -> Scenario:
    """A steady fleet; `crashes_per_h` in every hundred helmets, three kinds in equal parts.

    A rate of the whole fleet would change what befalls each helmet whenever another one joins.
    """
    kinds: tuple[Kind, ...] = ("head_strike", "fall", "car_hit")
    happenings: list[Happening] = []
    for helmet in range(helmets):
        rng = np.random.default_rng((seed, 2, helmet))
        times = rng.uniform(2, max(2.0, duration_s - 5), rng.poisson(crashes_per_h / 100 * duration_s / 3600))
        happenings += [Happening(float(t_s), kinds[int(rng.integers(3))], helmet) for t_s in times]
    happenings.sort(key=lambda h: h.t_s)
    return Scenario("load", helmets, seed, happenings=tuple(happenings))
