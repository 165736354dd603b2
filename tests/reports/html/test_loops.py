"""Plots of loops: lines, marks and the tolerance where they belong."""

from __future__ import annotations

import re

from support import reports as made
from support.reports import replaced

from parity.records.results import OutputResult, StepResult
from parity.reports import html, selection
from parity.reports.html import loops
from parity.reports.html.loops import LoopPlot

UNMEASURED = StepResult(
    status="failed", max_abs=None, factor=None, alone_max_abs=None, alone_factor=None, alone_status="failed"
)


def found(*outputs: OutputResult) -> loops.Loops:
    rows = selection.output_rows(made.report((made.case("decoder", outputs),), 1))
    of_rows = loops.of_rows(rows)
    assert of_rows is not None
    return of_rows


def plot_of(output: OutputResult) -> LoopPlot:
    (plot,) = found(output).plots
    return plot


def test_without_a_loop_there_is_nothing() -> None:
    assert loops.of_rows(selection.output_rows(made.red())) is None
    assert "<h2>Steps</h2>" not in html.render(made.red())


def test_each_output_has_a_plot_the_worst_first() -> None:
    page = html.render(made.loops())
    names = re.findall(r'<figure class="loop">\s*<figcaption><code>([^<]*)</code>', page)
    assert names == ["decoder / adds_up", "decoder / faulty", "decoder / sound"]


def test_errors_beyond_the_tolerance_are_above_its_line_and_red() -> None:
    for output in made.loops().cases[0].outputs:
        plot = plot_of(output)
        assert len(plot.marks) == len(output.steps)
        for mark, step in zip(plot.marks, output.steps, strict=True):
            assert mark.is_beyond is (step.status != "passed")
            assert mark.is_beyond is (mark.y < plot.tolerance)
        assert sorted(mark.x for mark in plot.marks) == [mark.x for mark in plot.marks]


def test_the_first_step_beyond_is_marked_and_named() -> None:
    adds_up, faulty, sound = (plot_of(output) for output in made.loops().cases[0].outputs)
    assert adds_up.first_beyond is not None
    assert faulty.first_beyond is not None
    assert (adds_up.first_beyond.x, adds_up.first_beyond.step) == (adds_up.marks[6].x, 7)
    assert (faulty.first_beyond.x, faulty.first_beyond.step) == (faulty.marks[1].x, 2)
    assert sound.first_beyond is None
    assert "beyond from step 7" in html.render(made.loops())


def test_a_step_that_was_not_measured_is_a_gap_in_the_line_and_a_mark_at_the_top() -> None:
    steps = (*made.steps((1e-6, 1e-5), 1e-6), UNMEASURED, *made.steps((1e-5,), 1e-6))
    plot = plot_of(replaced(made.looped("y", (1e-6,), 1e-6), steps=steps, status="failed"))
    assert len(plot.free_lines) == len(plot.alone_lines) == 2
    odd = plot.marks[2]
    assert odd.is_beyond
    assert odd.y == min(mark.y for mark in plot.marks)
    assert odd.y < plot.tolerance
    assert "step 3: -, failed" in odd.title


def test_many_steps_stay_small_and_keep_their_peak() -> None:
    errors = [1e-6] * 20_000
    errors[9_999] = 1.0
    output = made.looped("y", tuple(errors), 1e-7)
    plot = plot_of(output)
    (line,) = plot.free_lines
    assert len(line) == 400
    assert sum(y < plot.tolerance for _, y in line) == 1
    assert plot.marks == ()
    page = html.render(made.report((made.case("decoder", (output,)),), 1))
    drawn = re.findall(r'<polyline class="(\w+)" points="([\d., ]*)"/>', page)
    assert [(name, len(points.split())) for name, points in drawn] == [("alone", 400), ("free", 400)]


def test_odd_figures_stay_inside_the_plot() -> None:
    for errors in ((0.0, 0.0), (0.0,), (5e-324, 1e300), (1e-4, 1e-4)):
        plot = plot_of(made.looped("y", errors, 0.0))
        points = [point for line in (*plot.free_lines, *plot.alone_lines) for point in line]
        assert len(points) == 2 * len(errors)
        assert all(plot.left <= x <= plot.right for x, _ in points)
        assert all(0 <= y <= plot.floor for _, y in points)


def test_every_step_of_what_failed_is_in_a_table() -> None:
    tables = found(*made.loops().cases[0].outputs).failed
    assert [table.title for table in tables] == ["Steps of decoder / adds_up", "Steps of decoder / faulty"]
    assert [len(table.rows) for table in tables] == [8, 8]
    assert [cell.text for cell in tables[0].rows[-1]] == ["8", "6.10e-4", "6.10 x", "9.00e-7", "0.01 x"]


def test_outputs_without_a_plot_are_counted_and_in_the_table() -> None:
    many = found(*(made.looped(f"y{i}", (1e-6, 1e-5), 1e-6) for i in range(loops.MOST_PLOTS + 3)))
    assert (len(many.plots), many.left_out, len(many.table.rows)) == (24, 3, 27)
