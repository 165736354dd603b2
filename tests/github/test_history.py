from __future__ import annotations

import json

import pytest
from support import reports as made

from parity.github import history
from parity.records.results import OutputResult, Report

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def report_of(*outputs: OutputResult) -> Report:
    code = 1 if any(entry.status == "failed" for entry in outputs) else 0
    return made.report((made.case("model", outputs),), code)


def told(now: Report, before: Report) -> str:
    sections = history.since(now, history.read(history.written(history.state_of(before, COMMIT))))
    return "".join(section.head + "".join(section.rows) for section in sections)


@pytest.mark.parametrize("kind", sorted(made.all_kinds()))
def test_a_state_comes_back_as_it_was_written(kind: str) -> None:
    state = history.state_of(made.all_kinds()[kind], COMMIT)
    text = history.written(state)
    assert history.read(f"a comment\n{text}\n") == state
    assert text.index("-->") == len(text) - 3
    assert len(text) < 12_000


def test_was_and_now() -> None:
    said = told(report_of(made.output("heatmap", 2.0e-2)), report_of(made.output("heatmap", 3.1e-5)))
    assert "<code>heatmap</code>: was 3.1e-5 (passed), now 0.020 (failed)" in said
    assert "Since <code>0123456</code>" in said


@pytest.mark.parametrize(
    ("before", "now", "moved"),
    [(1e-6, 1.9e-6, False), (1e-6, 2.1e-6, True), (2.1e-6, 1e-6, True), (0, 0, False)],
)
def test_noise_is_no_news(before: float, now: float, moved: bool) -> None:
    old, new = report_of(made.output("x", before)), report_of(made.output("x", now))
    assert ("was" in told(new, old)) is moved
    assert history.is_news(history.state_of(new, ""), history.state_of(old, "")) is moved


def test_an_error_from_nothing_is_news() -> None:
    assert "was 0 (passed), now 1.0e-6 (passed)" in told(
        report_of(made.output("x", 1e-6)), report_of(made.output("x", 0.0))
    )


def test_an_output_without_a_figure() -> None:
    unlike = made.unmeasured("x", "the shape is [2], the reference's is [3]")
    said = told(report_of(unlike), report_of(made.output("x", 1e-6)))
    assert "was 1.0e-6 (passed), now no figure (failed)" in said


def test_only_the_worst_are_told() -> None:
    names = [f"x{i}" for i in range(30)]
    old = report_of(*(made.output(name, 1e-6) for name in names))
    new = report_of(*(made.output(name, 1e-2 * (1 + i)) for i, name in enumerate(names)))
    said = told(new, old)
    assert said.count(": was ") == 5
    assert "x29" in said
    assert "and 25 more outputs" in said


def test_a_new_output_has_no_past() -> None:
    old = report_of(made.output("a", 1e-6))
    new = report_of(made.output("a", 1e-6), made.output("b", 0.5))
    assert "<code>b</code>" not in told(new, old)
    assert history.is_news(history.state_of(new, ""), history.state_of(old, ""))


def test_hostile_names_are_inert_and_told_apart() -> None:
    outputs = [made.output(name, 1e-6) for name in made.HOSTILE_NAMES]
    worse = [made.output(name, 0.5) for name in made.HOSTILE_NAMES]
    state = history.state_of(report_of(*outputs), "")
    assert len(state.outputs) == len(made.HOSTILE_NAMES)
    said = told(report_of(*worse), report_of(*outputs))
    assert "<img" not in said
    assert "@octocat" not in said


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no state",
        "<!-- parity-state {} -->",
        "<!-- parity-state {not json} -->",
        "<!-- parity-state " + "{" * 5_000 + "} -->",
    ],
)
def test_what_is_no_state_is_none(body: str) -> None:
    assert history.read(body) is None


def test_times_are_no_change_and_figures_are() -> None:
    green = made.green()
    later = made.replaced(green, started_at="2030-01-01T00:00:00Z", duration_s=99.0)
    assert history.state_of(later, COMMIT).digest == history.state_of(green, COMMIT).digest
    assert history.state_of(green, "f" * 40).digest != history.state_of(green, COMMIT).digest
    old, new = report_of(made.output("x", 1e-6)), report_of(made.output("x", 1.01e-6))
    assert history.state_of(old, COMMIT).digest != history.state_of(new, COMMIT).digest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("status", "<b>"),
        ("digest", "@x"),
        ("commit", "@octocat"),
        ("outputs", {"<b>": [1.0, "passed"]}),
        ("outputs", {"0" * 16: ["1", "passed"]}),
        ("outputs", {"0" * 16: [1.0, "@octocat"]}),
        ("more", "@octocat"),
    ],
)
def test_a_state_that_somebody_changed_is_none(key: str, value: object) -> None:
    good = {"version": 1, "status": "passed", "digest": "a" * 64, "commit": "", "outputs": {}}
    assert history.read(f"<!-- parity-state {json.dumps(good)} -->") is not None
    assert history.read(f"<!-- parity-state {json.dumps({**good, key: value})} -->") is None
