from __future__ import annotations

from support import reports as made

from parity.records.results import CaseResult, Problem, SidePerformance
from parity.reports import selection, wording
from parity.reports.case_problems import case_problems
from parity.reports.sections import by_pair, by_subject


def test_many_input_sets_are_one_row_with_the_worst_of_them() -> None:
    rows = selection.output_rows(made.green_sets(40))
    assert len(rows) == 13
    heatmap = next(row for row in rows if (row.subject, row.name) == ("pipeline", "heatmap"))
    assert len(heatmap.cases) == 40
    assert heatmap.worst_case.input_set == "39"
    assert heatmap.failing == ()


def test_a_failure_hides_behind_no_pass() -> None:
    rows = selection.output_rows(made.red())
    rot = next(row for row in rows if (row.subject, row.name) == ("backbone_head", "rot"))
    assert rot.status == "failed"
    assert [case.input_set for case in rot.failing] == ["2"]


def test_what_has_no_finite_factor_is_the_worst() -> None:
    assert [row.name for row in selection.failed(selection.output_rows(made.red()))] == [
        *("vel", "height"),
        *("heatmap", "heatmap", "reg", "reg", "rot", "rot"),
    ]


def test_the_same_output_on_two_devices_is_two_rows() -> None:
    cases = (*made.centerpoint_cases(), *made.centerpoint_cases(device="cuda:0"))
    rows = selection.output_rows(made.report(cases, 0))
    assert len(rows) == 26
    assert [str(pair) for pair, _ in by_pair(rows)] == [
        "torch@cpu → onnxruntime@cpu",
        "torch@cuda:0 → onnxruntime@cuda:0",
    ]


def test_subjects_with_a_failure_come_first_and_so_do_its_rows() -> None:
    grouped = by_subject(selection.output_rows(made.red()))
    assert [subject for subject, _ in grouped] == ["backbone_head", "pipeline", "voxel_encoder"]
    assert [row.name for row in grouped[0][1]] == ["heatmap", "reg", "rot", "height", "dim", "vel"]


def test_equal_problems_are_told_once_with_all_their_cases() -> None:
    found = selection.unjudged(made.errors())
    crash = next(entry for entry in found if entry.problem.kind == "crash")
    assert len(crash.cases) == 25
    assert len(found) == 7
    assert sum(not entry.cases for entry in found) == 1


def test_skipped_cases_and_outputs_keep_their_reasons() -> None:
    left_out = made.unmeasured("labels", "integers are not of interest", "skipped")
    cases = (made.case("model", (left_out, made.output("boxes", 1e-6))),)
    assert [(entry.problem.message, entry.cases) for entry in selection.skipped(made.report(cases, 0))] == [
        ("integers are not of interest", ("centerpoint/cpu/0/model/labels",))
    ]


def timed(input_set: str, reference: float | None, candidate: float | None) -> CaseResult:
    return made.case(
        "model",
        (made.output("x", 1e-6),),
        input_set=input_set,
        reference_performance=SidePerformance(latency_ms=reference, peak_rss_bytes=int(input_set)),
        candidate_performance=SidePerformance(latency_ms=candidate, peak_device_bytes=7),
    )


def test_latency_is_one_row_with_the_slowest_set_and_the_greatest_memory() -> None:
    cases = (timed("1", 100.0, 110.0), timed("2", 100.0, 150.0), timed("3", 100.0, 90.0))
    (row,) = selection.performance_rows(made.report((*cases, timed("9", None, None)), 0))
    assert (row.input_set, row.timed, row.candidate.latency_ms) == ("2", 3, 150.0)
    assert (row.reference.peak_rss_bytes, row.candidate.peak_device_bytes) == (9, 7)
    assert wording.timed_set(row) == "2, slowest of 3"


def test_a_side_that_was_not_timed_is_seen() -> None:
    (row,) = selection.performance_rows(made.report((timed("1", 100.0, 110.0), timed("2", 100.0, None)), 0))
    assert (row.input_set, row.candidate.latency_ms) == ("2", None)


def test_what_was_not_timed_has_no_row() -> None:
    assert selection.performance_rows(made.report((timed("1", None, None),), 0)) == []


def test_the_largest_error_is_told_where_it_is_not_the_worst_element() -> None:
    assert wording.largest_elsewhere(made.not_a_number()) == "2.00000e-5 at [0, 1, 85, 85]"
    assert wording.largest_elsewhere(made.output("x", 0.5)) == ""


def test_an_exact_output_that_is_not_is_called_so() -> None:
    exact = made.tolerance(atol=None, rtol=None, exact=True)
    beyond = made.output("label", 2.0, tolerance=exact, factor=None)
    assert wording.how_far(beyond) == "exact required"


def test_a_problem_of_a_skipped_case_is_no_error() -> None:
    case = made.case("model", (), status="skipped", problem=Problem(kind="input", message="declared"))
    assert case_problems(case) == []
