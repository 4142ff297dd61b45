"""What riders say when their helmet asks "are you all right?"."""

from typing import Literal

import numpy as np

from simulator.scenario import Answer, Scenario

_RIDING_S, _HALTED_S = (12.0, 25.0), (4.0, 10.0)
"""Who rides must stop first; who stands or lies answers sooner."""


class Answers:
    """Whoever has not crashed says "I'm OK" and whoever has is silent, unless a happening says otherwise."""

    def __init__(self, scenario: Scenario) -> None:
        self._everybody = scenario.answers
        self._seed = (scenario.seed, 13)
        self._rngs: dict[int, np.random.Generator] = {}
        self._told: dict[int, list[tuple[float, Answer | None]]] = {}
        for h in sorted(scenario.happenings, key=lambda h: h.t_s):
            self._told.setdefault(h.helmet, []).append((h.t_s, h.answer))

    def to_question(
        self, helmet: int, t_s: float, *, riding: bool, crashed: bool
    ) -> tuple[float, Literal["ok", "sos"]] | None:
        """Seconds until the answer and the answer of a rider who is asked `t_s` into the run; None is silence."""
        answer = next((a for at_s, a in reversed(self._told.get(helmet, [])) if at_s <= t_s), None)
        if answer is None:
            answer = "ok" if self._everybody and not crashed else "silence"
        if answer == "silence":
            return None
        # From the helmet's own random numbers: who else is asked meanwhile changes nothing.
        rng = self._rngs.setdefault(helmet, np.random.default_rng((*self._seed, helmet)))
        return float(rng.uniform(*(_RIDING_S if riding and not crashed else _HALTED_S))), answer
