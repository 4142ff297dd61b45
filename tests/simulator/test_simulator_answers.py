"""Riders who are asked say OK, press SOS or are silent, as their script or their state has it."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answers import Answers
from simulator.scenario import Answer, Happening, Scenario


@given(st.integers(0, 99), st.booleans(), st.booleans())
def test_without_a_script_whoever_has_not_crashed_says_ok_and_riding_takes_longer(
    seed: int, riding: bool, crashed: bool
) -> None:
    said = Answers(Scenario("a", 1, seed)).to_question(0, 30, riding=riding, crashed=crashed)
    if crashed:
        assert said is None
    else:
        assert said is not None
        assert said[1] == "ok"
        assert (said[0] >= 12) == riding


@pytest.mark.parametrize(("answer", "said"), [("ok", "ok"), ("sos", "sos"), ("silence", None)])
def test_a_scripted_answer_holds_from_its_happening_to_the_next(
    answer: Answer, said: Literal["ok", "sos"] | None
) -> None:
    happenings = (Happening(20, "head_strike", 1, answer=answer), Happening(90, "fall", 1))
    answers = Answers(Scenario("a", 2, happenings=happenings, answers=False))
    scripted = answers.to_question(1, 30, riding=True, crashed=True)
    assert (scripted and scripted[1]) == said
    assert answers.to_question(1, 10, riding=True, crashed=False) is None
    assert answers.to_question(1, 95, riding=False, crashed=True) is None
    assert answers.to_question(0, 30, riding=True, crashed=False) is None
