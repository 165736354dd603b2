from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from support.reports import all_kinds, green, replaced, report

from parity.errors import CannotJudge
from parity.records.results import SCHEMA_VERSION
from parity.reports import results

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "results.schema.json"
KINDS = all_kinds()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"hostile"}))
def test_a_report_comes_back_as_it_was(kind: str) -> None:
    assert results.parse(results.render(KINDS[kind])) == KINDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_reading_and_writing_again_changes_no_byte(kind: str) -> None:
    once = results.render(KINDS[kind])
    assert results.render(results.parse(once)) == once


def test_the_published_schema_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == results.schema(), (
        "write docs/results.schema.json again, as docs/results.md says"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_rendered_report_is_valid_by_the_published_schema(kind: str) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(results.render(KINDS[kind])), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("change", [{"cases": 1}, {"surprise": True}, {"exit_code": "0"}])
def test_the_published_schema_refuses_what_is_no_report(change: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(results.render(green())) | change, schema)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no results"),
        (b"{", "no results"),
        (b"[]", "no results"),
        (b'{"schema_version": "1"}', "no results"),
        (b"\xff\xfe", "no results"),
        (b'{"schema_version": 1, "a": ' + b"[" * 100_000, "no results"),
        ('{"schema_version": 1, "a": "\ud800"}', "no results"),
        (b'{"schema_version": 1}', "tool_version"),
        (b'{"schema_version": 7, "tool_version": "9.9"}', "schema version 7"),
        (b" " * (results.SIZE_LIMIT + 1), "larger than the 64 MiB"),
    ],
    ids=["empty", "cut", "list", "text", "binary", "deep", "surrogate", "bare", "newer", "large"],
)
def test_what_is_no_report_is_refused_with_its_place(data: bytes | str, says: str) -> None:
    with pytest.raises(CannotJudge, match=says) as caught:
        results.parse(data, at="out/results.json")
    assert caught.value.at == "out/results.json"
    assert caught.value.fix


@pytest.mark.parametrize(
    "change",
    [{"exit_code": 77}, {"exit_code": None}, {"cases": [{}]}, {"duration_s": None}, {"unknown": 1}],
)
def test_a_damaged_report_is_refused(change: dict[str, Any]) -> None:
    damaged = json.loads(results.render(green())) | change
    with pytest.raises(CannotJudge):
        results.parse(json.dumps(damaged))


def test_a_number_that_is_not_finite_is_not_written_as_null() -> None:
    with pytest.raises(msgspec.ValidationError):
        results.render(replaced(green(), duration_s=math.nan))


def test_lone_surrogates_are_written_as_text() -> None:
    text = results.render(KINDS["hostile"])
    text.encode()
    assert "lone \\\\ud800 surrogate" in text


def test_consumers_find_the_diagnosis_by_its_names() -> None:
    written = json.loads(results.render(KINDS["explained"]))
    case = next(case for case in written["cases"] if case["subject"] == "backbone_head")
    found = next(output for output in case["outputs"] if output["name"] == "vel")["diagnosis"]
    assert {"total", "reference_rounding", "export_error", "runtime_error"} <= set(found["budget"])
    assert {"repeatability", "noise_floor", "unknown"} <= set(found["budget"])
    assert found["dominant_leg"] == "export"
    place, (cause,) = found["first_divergence"], found["causes"]
    assert {name: place[name] for name in ("leg", "op_type", "module", "source")} == {
        "leg": "export",
        "op_type": "BatchNormalization",
        "module": "backbone.blocks.1.4",
        "source": "model.py:31",
    }
    assert {"node", "output", "expected", "found", "local_error", "effective_bits"} <= set(place)
    assert set(cause) == {"kind", "leg", "share", "node", "tensor", "message", "remedy"}
    assert (cause["kind"], cause["share"]) == ("attribute", 0.998)
    assert set(case["modules"][0]) == {"module", "type", "source", "total", "inherited", "local"}


def test_the_version_is_that_of_the_records() -> None:
    assert json.loads(results.render(report((), 3)))["schema_version"] == SCHEMA_VERSION
