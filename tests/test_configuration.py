"""The configuration: the shipped file is the code's defaults, and every fault is told at once with its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import config
from core.config import Config, ConfigError, Section

ROOT = Path(__file__).parents[1]


def test_the_shipped_file_is_the_defaults_in_code_with_a_sentence_for_each_option() -> None:
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert config.parse(text) == Config()
    assert text == config.render(), "regenerate: python -c 'from core import config; print(config.render())'"


def test_every_option_has_a_sentence() -> None:
    def sections(model: type[Section]) -> list[type[Section]]:
        inner = [type(f.default) for f in model.model_fields.values() if isinstance(f.default, Section)]
        return [model, *(found for section in inner for found in sections(section))]

    for model in sections(Config):
        for name, info in model.model_fields.items():
            if not isinstance(info.default, Section):
                assert (info.description or "").endswith("."), f"{model.__name__}.{name} has no sentence"


def test_all_faults_are_told_at_once_with_dotted_path_and_line() -> None:
    text = (
        "ingest:\n  mqtt:\n    port: 0\n    foo: 3\n  tick_ms: soon\nweather: nice\nalerts: {}\nalerts: {}\n"
    )
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    faults = caught.value.faults
    assert "alerts: given twice (config.yaml:8)" in faults
    assert "ingest.mqtt.port: input should be greater than or equal to 1, got 0 (config.yaml:3)" in faults
    assert "ingest.mqtt.foo: unknown option (config.yaml:4)" in faults
    assert any(f.startswith("ingest.tick_ms:") and f.endswith("(config.yaml:5)") for f in faults)
    assert "weather: unknown option (config.yaml:6)" in faults
    assert len(faults) == 5


@pytest.mark.parametrize("text", ["[", "a: b: c", "- 1", "x", "&a [*a]", "\x00", "? {a: 1}\n: 2", "1: 2"])
def test_what_is_not_a_configuration_is_a_fault_and_no_traceback(text: str) -> None:
    with pytest.raises(ConfigError):
        config.parse(text)


@given(st.text(max_size=80))
def test_any_text_is_a_configuration_or_a_list_of_faults(text: str) -> None:
    try:
        assert isinstance(config.parse(text), Config)
    except ConfigError as error:
        assert error.faults


def test_the_value_of_an_unknown_option_is_not_shown_since_it_may_be_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse("web:\n  token: hunter2-hunter2-hunter2\n")
    assert "hunter2" not in str(caught.value)


def test_a_secret_comes_from_the_environment_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    assert config.secret("HELMETWATCH_X", str(file)) == "from-the-file"
    monkeypatch.setenv("HELMETWATCH_X", "from-the-environment")
    assert config.secret("HELMETWATCH_X", str(file)) == "from-the-environment"
    monkeypatch.delenv("HELMETWATCH_X")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.secret("HELMETWATCH_X", str(tmp_path / "missing"))


@pytest.mark.parametrize(("countdown_s", "fits"), [(14.9, False), (15, True), (90, True), (90.1, False)])
def test_the_rider_is_given_between_15_and_90_seconds_to_answer(countdown_s: float, fits: bool) -> None:
    text = f"alerts: {{countdown_s: {countdown_s}}}"
    if fits:
        assert config.parse(text).alerts.countdown_s == countdown_s
    else:
        with pytest.raises(ConfigError, match="countdown_s"):
            config.parse(text)
