from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from support import reports as made

from parity.records.results import CaseResult, Report
from parity.reports.console import print_report, report_console
from parity.reports.progress import ProgressView

KINDS = made.all_kinds()


def printed(report: Report, width: int = 110, *, diagnosed: bool = False, **options: object) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, markup=False, emoji=False, highlight=False, **options)  # type: ignore[arg-type]
    print_report(report, {"junit.xml": Path("parity-report/junit.xml")}, console, diagnosed=diagnosed)
    return stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("width", "diagnosed"), [(60, False), (80, False), (80, True), (110, False), (200, True)]
)
def test_no_line_is_wider_than_the_console_nor_obeyed_by_a_runner(
    kind: str, width: int, diagnosed: bool
) -> None:
    text = printed(KINDS[kind], width, diagnosed=diagnosed)
    if width >= 80:
        assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "##[" not in text


def test_a_sound_run_is_a_table_and_a_verdict() -> None:
    lines = printed(KINDS["green"]).rstrip().splitlines()
    assert lines[-1] == "✓ 13 outputs within tolerance  3 cases, 6.2 s, reports in parity-report"
    assert sum("✓" in line for line in lines) == 14
    assert not any("✗" in line or "│" in line for line in lines)


def test_forty_input_sets_are_no_longer_than_one() -> None:
    assert len(printed(made.green_sets(40)).splitlines()) == len(printed(KINDS["green"]).splitlines())


def test_a_failed_output_tells_all_its_figures() -> None:
    text = printed(KINDS["one-fault"])
    block = text[text.index("✗ backbone_head / heatmap  20.1 x its tolerance") :].split("\n\n")[0]
    for said in (
        "[0, 3, 85, 85]",
        "reference 1.2354279, candidate 1.2374389, error 0.00201100",
        "24,576 of 81,920 elements (30.0 %)",
        "max 0.00201100, mean 5.23e-7, rms 3.42e-6, cosine > 0.999999",
        f'atol 1e-4, rtol 1e-5 for "*" at {made.SPEC}:31',
    ):
        assert said in block
    assert text.rstrip().splitlines()[-1].startswith("✗ 2 of 13 outputs beyond tolerance")


def test_a_diagnosed_block_tells_the_budget_in_ten_lines() -> None:
    text = printed(KINDS["one-fault"])
    block = text[text.index("✗ backbone_head / heatmap  20.1 x") :].split("\n\n")[0].splitlines()
    assert len(block) <= 10
    said = "\n".join(line.rstrip() for line in block)
    assert (
        "budget       export 0.00201 (96.5 %) ▇▇▇▇▇▇▇▇  reference rounding 5.20e-5  runtime 2.04e-5" in said
    )
    assert "mostly       export error: the ONNX graph computes something else than the reference" in said
    assert "noise        38.7 x the float32 noise floor of 5.20e-5" in said
    chain = text[text.index("✗ pipeline / heatmap") :].split("\n\n")[0]
    assert "budget" not in chain


def test_blocks_are_of_outputs_that_a_budget_explains() -> None:
    def failing(subject: str, **changes: object) -> CaseResult:
        outputs = [made.output(f"{subject}.{i}", 0.5 + i, **changes) for i in range(3)]
        return made.case(subject, tuple(outputs))

    def blocks(*cases: CaseResult) -> list[str]:
        return re.findall(r"^✗ (\w+) / ", printed(made.report(cases, 1)), re.MULTILINE)

    explained = failing("head", diagnosis=made.diagnosis("export", 0.5))
    unlike = made.case("chain", (made.unmeasured("y", "another shape"),))
    assert blocks(failing("chain"), failing("head")) == ["chain", "head", "chain"]
    assert blocks(failing("chain"), explained) == ["head"] * 3
    assert blocks(unlike, failing("chain"), explained) == ["chain", "head", "head"]


def block_of(text: str, title: str) -> list[str]:
    return [line.rstrip() for line in text[text.index(f"\n{title}") + 1 :].partition("\n\n")[0].splitlines()]


def test_twelve_outputs_of_one_cause_are_told_once_on_one_screen() -> None:
    text = printed(KINDS["explained"])
    lines = [line.rstrip() for line in text.splitlines()]
    assert len(lines) <= 45
    assert sum("its tolerance  torch@cpu" in line for line in lines) == 1
    assert block_of(text, "✗ backbone_head / vel  402 x its tolerance")[1:10] == [
        "│ likewise     heatmap 296 x, height 142 x, rot 132 x, dim 98.0 x, reg 57.2 x",
        "│ budget       export 0.201 (> 99.9 %) ▇▇▇▇▇▇▇▇  reference rounding 5.20e-5  runtime 2.04e-5  "
        "repeatability 0",
        "│ mostly       export error: the ONNX graph computes something else than the reference",
        "│ noise        3,865 x the float32 noise floor of 5.20e-5",
        "│ starts at    backbone.blocks.1.4 (BatchNormalization, model.py:31)",
        "│ node         /backbone/blocks.1/blocks.1.4/BatchNormalization",
        "│ adds         0.0312 on right inputs, inherits 2.10e-7",
        "│ because      epsilon is 2e-3 in the file, 1e-3 in the module (99.8 % of the export error)",
        "│ mend         export again: the file is stale",
    ]
    assert (
        "✗ 6 more failed outputs of the pipeline, which is diagnosed by its components, all in summary.md"
        in lines
    )
    assert not any("sound modules" in line for line in lines)


def test_the_modules_are_shown_where_the_causes_leave_it_open() -> None:
    text = printed(KINDS["puzzles"], diagnosed=True)
    block = block_of(text, "✗ open  4,900 x")
    rows = [line for line in block if "backbone.blocks." in line]
    assert len(rows) == 5
    assert "▇▇▇▇▇▇▇▇" in rows[2]
    assert any(line.endswith("  and 18 sound modules before") for line in block)
    assert not any("sound modules" in line for line in block_of(text, "✗ several"))
    assert not any("sound modules" in line for line in block_of(text, "✗ tf32"))


def test_notes_stand_at_the_end_of_a_block() -> None:
    block = block_of(printed(KINDS["puzzles"], diagnosed=True), "✗ silent_0  4,500 x its")
    assert block[1].startswith("│ likewise     silent_1 4,400 x")
    assert block[-1] == "│ note         the loop 'Loop_12' was not followed: its body is run as one"


def test_a_diagnosed_pass_has_a_line_and_no_alarm() -> None:
    text = printed(KINDS["always"])
    assert "✗" not in text
    assert "│" not in text
    said = text[text.index("error budget") :].split("\n\n")[0].splitlines()
    assert len(said) == 8
    assert "  backbone_head / reg      runtime 2.04e-5 (58.1 %) ▇▇▇▇▇  reference rounding 1.47e-5" in said[3]
    assert said[2].strip() == "epsilon is 2e-3 in the file, 1e-3 in the module (40.0 % of the export error)"
    assert "float32 rounding" not in text
    assert "error budget" not in printed(KINDS["explained"])


def test_everything_that_was_diagnosed_can_be_shown() -> None:
    text = printed(KINDS["always"], diagnosed=True)
    assert text.count("\n│ budget ") == 6
    assert "✓ backbone_head / vel  0.29 x its tolerance" in text
    assert text.count("│ mend      nothing to mend; a tolerance of at least 2e-4 holds") == 5
    puzzles = printed(KINDS["puzzles"], diagnosed=True)
    assert puzzles.count("\n│ budget ") == 7
    assert "more failed output" not in puzzles


def test_unknown_legs_have_their_reason_and_it_does_not_fill_the_screen() -> None:
    text = printed(KINDS["budgets"])
    assert "unknown      export and runtime: node 'nms' (com.acme:Nms) can't be evaluated" in text
    failing = made.output("y", 0.5, diagnosis=made.undiagnosable("word " * 2_000))
    said = printed(made.report((made.case("model", (failing,)),), 1))
    assert len(said[said.index("✗ y  5,000 x") :].split("\n\n")[0].splitlines()) <= 13


def test_tolerances_out_of_proportion_are_noted() -> None:
    text = printed(KINDS["budgets"], 200)
    assert "· loose_0, loose_1  atol 0.05 is at least 962 x the float32 noise" in text
    assert "· tight_0, tight_1  atol 4e-5 is below the float32 noise floor of at least 4.40e-5" in text


def test_failures_come_first_and_failing_input_sets_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parity.reports.console._MOST_DETAILED", 20)
    text = printed(KINDS["red"])
    assert text.index("backbone_head") < text.index("voxel_encoder")
    assert "1 of 4 beyond tolerance: 2" in text
    assert "the shape is [1, 1, 64, 64]" in text
    assert "NaN 0 → 412, inf 0 → 3, 415 unmatched" in text
    assert "3 modules were in training mode" in text


def test_at_eighty_columns_every_number_is_whole() -> None:
    narrow = printed(KINDS["red"], 80)
    for number in ("23,748 x", "0.00201", "1.00e-4", "1 of 4", "1.32 GiB", "887 MiB", "183 ms", "1.17 x"):
        assert number in narrow


def test_an_id_is_whole_however_long_and_so_are_the_names_of_sides() -> None:
    side = "onnxruntime(optimization=disable_all,session.disable_prepacking=1)@cpu"
    given = KINDS["red"]
    failed = next(case for case in given.cases if case.status == "failed" and not case.performance)
    known = f"suite/{side}~{side}/sample=0/model"
    text = printed(made.replaced(given, cases=(made.replaced(failed, id=known),)), 80)
    assert known in "".join(line.strip("│ ").strip() for line in text.splitlines())
    timed = made.replaced(given, cases=tuple(made.replaced(case, candidate=side) for case in given.cases))
    table = printed(timed, 80).split("latency", 1)[1]
    assert "· onnxruntime(optimi" in table


def test_errors_have_place_fix_cases_and_last_words() -> None:
    text = printed(KINDS["errors"])
    for said in (
        "! the device cuda:0 is not there",
        "all of centerpoint-gpu",
        "raise limits.timeout",
        f"{made.SPEC}:52:12",
        "and 17 more",
        "│ RuntimeError: Expected all tensors to be on the same device",
        "skipped: declared as skipped: no sweep at night",
    ):
        assert said in text
    assert "! 30 of 34 cases and 1 suite could not be judged" in text


def test_thousands_of_outputs_stay_readable() -> None:
    outputs = [made.output(f"passing.{i}", 1e-6) for i in range(3_000)]
    outputs += [made.output(f"failing.{i}", 1.0 + i) for i in range(100)]
    text = printed(made.report((made.case("model", tuple(outputs)),), 1))
    assert all(f"failing.{i} " in text for i in range(100))
    assert "2,960 more outputs within tolerance" in text
    assert "97 more failed outputs" in text
    assert len(text.splitlines()) < 400


def test_colours_follow_the_terminal_and_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = printed(KINDS["one-fault"], force_terminal=True, color_system="standard")
    assert re.search("\x1b\\[[0-9;]*31m", coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = printed(KINDS["one-fault"], force_terminal=True, color_system="standard")
    assert not re.search("\x1b\\[[0-9;]*3[0-7]m", plain)


def test_a_log_in_a_poor_encoding_still_gets_its_report() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    print_report(KINDS["red"], {}, report_console(stream))
    assert b"8 of 13 outputs beyond tolerance" in raw.getvalue()


def test_a_log_has_room_for_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert report_console(io.StringIO()).width == 110
    monkeypatch.setenv("COLUMNS", "90")
    assert report_console(io.StringIO()).width == 90


def test_progress_in_a_log_is_one_plain_line_for_each_step() -> None:
    stream = io.StringIO()
    with ProgressView(Console(file=stream, width=60)) as view:
        view.update("loading the reference", 0, None)
        view.update("centerpoint/cpu/0: reference", 1, 3)
        view.update("centerpoint/cpu/0: reference", 1, 3)
        view.update("::error::[bold]" + "x" * 100, 2, 3)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("]  loading the reference")
    assert lines[1].endswith("]  1/3  centerpoint/cpu/0: reference")
    assert "\x1b" not in stream.getvalue()
    assert lines[2].startswith("[")
    assert "2/3  ::error::[bold]x" in lines[2]


def test_progress_on_a_terminal_leaves_nothing_behind() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    with ProgressView(console) as view:
        view.update("case [1/2]", 1, 2)
        assert view._live is not None
        view._live.refresh()
    text = stream.getvalue()
    assert "case [1/2]" in text
    assert "1/2" in text
    assert text.endswith("\x1b[2K") or "\x1b[?25h" in text
