from __future__ import annotations

import math

import pytest

from parity.spec.scalars import Ambiguous, Value, resolve, resolve_key


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("1.0e-4", 1e-4),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0.25", -0.25),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("strict", "strict"),
        ("8GiB", "8GiB"),
        ("1e", "1e"),
    ],
)
def test_values_of_the_core_schema(text: str, value: Value) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)
    assert not isinstance(found, Ambiguous)


def test_not_a_number() -> None:
    found = resolve(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text", ["no", "Yes", "on", "OFF", "012", "1_000", "1:30", "2024-01-01", "0b11", "190:20:30"]
)
def test_what_yaml_1_1_reads_as_another_type_stays_text_and_is_marked(text: str) -> None:
    found = resolve(text)
    assert found == text
    assert isinstance(found, Ambiguous)


@pytest.mark.parametrize("text", ["1374", "0.999", "true", "no", "null", "2024-01-01"])
def test_a_key_is_text_and_marked_when_it_looks_like_a_value(text: str) -> None:
    assert resolve_key(text) == text
    assert isinstance(resolve_key(text), Ambiguous)


@pytest.mark.parametrize("text", ["heatmap", "reg*", "preds.0", "x1"])
def test_an_ordinary_key_is_plain_text(text: str) -> None:
    assert type(resolve_key(text)) is str


def test_an_integer_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="digits"):
        resolve("9" * 5000)
