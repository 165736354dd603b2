from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import xmlschema
from support import reports as made

from parity.records.results import OutputResult, Report
from parity.reports import junit

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parents[1] / "schemas" / "junit.xsd"))
KINDS = made.all_kinds()


def parsed(report: Report) -> ET.Element:
    return ET.fromstring(junit.render(report).encode())


def find(root: ET.Element, classname: str, name: str) -> ET.Element:
    (found,) = (
        case
        for case in root.iter("testcase")
        if (case.get("classname"), case.get("name")) == (classname, name)
    )
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_valid_by_the_schema(kind: str) -> None:
    root = parsed(KINDS[kind])
    for case in root.iter("testcase"):
        case.attrib.pop("file", None)
        case.attrib.pop("line", None)
    SCHEMA.validate(root)


def test_the_schema_refuses_what_junit_xml_writes_by_itself() -> None:
    root = parsed(KINDS["green"])
    root[0].set("disabled", "0")
    assert not SCHEMA.is_valid(root)


@pytest.mark.parametrize("kind", KINDS)
def test_totals_are_those_of_the_cases(kind: str) -> None:
    root = parsed(KINDS[kind])
    for element in (root, *root):
        cases = list(element.iter("testcase"))
        assert int(element.get("tests", "")) == len(cases)
        assert int(element.get("failures", "")) == sum(case.find("failure") is not None for case in cases)
        assert int(element.get("errors", "")) == sum(case.find("error") is not None for case in cases)


def test_what_the_sides_had_to_say_is_the_output_of_the_suite() -> None:
    note = "3 modules were in training mode; all run in eval mode"
    (said,) = parsed(KINDS["red"]).findall("testsuite/system-out")
    assert note in (said.text or "")


def test_an_output_beyond_tolerance_is_a_failure_at_its_tolerance() -> None:
    case = find(parsed(KINDS["one-fault"]), "centerpoint.cpu/0/pipeline", "heatmap")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "20.1 x its tolerance"
    assert (case.get("file"), case.get("line")) == (made.SPEC, "31")
    assert case.get("time") == "0.135"  # a sixth of the case
    for figure in (
        "worst at: [0, 3, 85, 85]",
        "reference 1.2354279",
        "24,576 of 81,920",
        "cosine",
        "rms",
        "atol 1e-4",
    ):
        assert figure in (failure.text or "")


def test_a_failure_has_its_budget_in_its_text() -> None:
    failure = find(parsed(KINDS["one-fault"]), "centerpoint.cpu/0/backbone_head", "heatmap").find("failure")
    assert failure is not None
    assert failure.get("message") == "20.1 x its tolerance"
    for said in (
        "budget: export 0.00201 (96.5 %) ▇▇▇▇▇▇▇▇  reference rounding 5.20e-5",
        "mostly: export error: the ONNX graph computes something else than the reference",
        "noise: 38.7 x the float32 noise floor of 5.20e-5",
    ):
        assert f"\n{said}" in (failure.text or "")
    passed = find(parsed(KINDS["budgets"]), "centerpoint.cpu/0/model", "loose_0").find("system-out")
    assert passed is not None
    assert "mostly: no leg stands out" in (passed.text or "")


def test_a_failure_says_leg_place_cause_and_remedy() -> None:
    failure = find(parsed(KINDS["explained"]), "centerpoint.cpu/0/backbone_head", "vel").find("failure")
    assert failure is not None
    reason = "epsilon is 2e-3 in the file, 1e-3 in the module (99.8 % of the export error)"
    assert failure.get("message") == f"402 x its tolerance: {reason}"
    assert (failure.text or "").splitlines()[-9:] == [
        "leg: export",
        "starts at: backbone.blocks.1.4 (BatchNormalization, model.py:31)",
        "node: /backbone/blocks.1/blocks.1.4/BatchNormalization",
        "adds: 0.0312 on right inputs, inherits 2.10e-7",
        f"because: {reason}",
        "mend: export again: the file is stale",
        "expected there: min -4.2130, max 5.8710, mean 0.012100, std 0.99820",
        "found there: min -4.1720, max 5.8130, mean 0.011900, std 0.98840",
        f"replay: parity run {made.SPEC} --case centerpoint/cpu/0/backbone_head",
    ]
    noted = find(parsed(KINDS["puzzles"]), "centerpoint.cpu/0/model", "silent_0").find("failure")
    assert noted is not None
    assert "\nnote: the loop 'Loop_12' was not followed: its body is run as one\n" in (noted.text or "")


def test_a_failed_case_says_how_to_see_it_again() -> None:
    suite = parsed(KINDS["compared"])
    texts = [
        find(suite, f"centerpoint.cuda:0/{i}/backbone_head", "heatmap").findtext("failure") for i in (0, 1)
    ]
    assert all(
        f"\nreplay: parity run {made.SPEC} --case centerpoint/cuda:0/" in (text or "") for text in texts
    )
    repro = "\nrepro: python repro/centerpoint-cuda-0-1-backbone_head/repro.py, in the folder of the reports"
    assert [repro in (text or "") for text in texts] == [False, True]


def test_shape_and_nan_are_failures_and_say_why() -> None:
    root = parsed(KINDS["red"])
    height = find(root, "centerpoint.cpu/0/pipeline", "height").find("failure")
    vel = find(root, "centerpoint.cpu/0/pipeline", "vel").find("failure")
    assert height is not None
    assert vel is not None
    assert height.get("message") == "the shape is [1, 1, 64, 64], the reference's is [1, 1, 128, 128]"
    assert (vel.get("message") or "").startswith("non-finite values: 415 elements")


def test_what_could_not_be_judged_is_an_error_with_fix_and_last_words() -> None:
    root = parsed(KINDS["errors"])
    timeout = find(root, "centerpoint.cpu/2/pipeline", "case").find("error")
    crash = find(root, "centerpoint.cpu/6/pipeline", "case").find("error")
    suite = find(root, "centerpoint-gpu.suite", "suite").find("error")
    output = find(root, "centerpoint.cpu/1/backbone_head", "vel").find("error")
    assert timeout is not None
    assert crash is not None
    assert suite is not None
    assert output is not None
    assert (timeout.get("type"), timeout.get("message")) == ("timeout", "no answer within 600 s")
    assert "fix: raise limits.timeout" in (timeout.text or "")
    assert "got mat2 is on cuda:0" in (crash.text or "")
    assert suite.get("type") == "device"
    assert output.get("message") == "the tensor's file is damaged"


def test_skipped_has_its_reason() -> None:
    skipped = find(parsed(KINDS["errors"]), "centerpoint.cpu/31/pipeline", "case").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "declared as skipped: no sweep at night"


@pytest.mark.parametrize(
    "report",
    [
        made.report((), 0, ()),
        made.report((), 4, ()),
        made.report((), 0),
        made.replaced(made.green(), exit_code=3),
        made.report((made.case("model", (), status="failed"),), 1),
        made.report((made.case("model", ()),), 0),
        made.report((made.case("model", (made.not_a_number(),), status="passed"),), 0, ()),
    ],
)
def test_no_report_without_a_verdict_reads_as_green(report: Report) -> None:
    root = parsed(report)
    assert int(root.get("failures", "0")) + int(root.get("errors", "0")) > 0


def test_cases_of_no_suite_are_not_lost() -> None:
    root = parsed(made.report(made.centerpoint_cases(), 0, ()))
    assert root.get("tests") == "13"


def test_names_hold_no_measured_value() -> None:
    def names(scale: float) -> list[tuple[str | None, str | None]]:
        cases = tuple(
            made.replaced(case, outputs=tuple(diagnosed(output, scale) for output in case.outputs))
            for case in made.centerpoint_cases(scale)
        )
        root = parsed(made.report(cases, 0))
        return [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]

    def diagnosed(output: OutputResult, scale: float) -> OutputResult:
        return made.replaced(output, diagnosis=made.diagnosis("export", 1e-5 * scale))

    assert names(1.0) == names(1e6)
    assert len(set(names(1.0))) == 13


def test_the_same_report_gives_the_same_bytes() -> None:
    assert junit.render(made.red()) == junit.render(made.red())
