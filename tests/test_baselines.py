"""Baseline files: what is written is read again, and what is none is an error with place and remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import reports as made
from support.specs import SOUND, SpecFolder

from parity.baselines import check_writable, with_baseline, write_baseline
from parity.errors import CannotJudge, SpecError
from parity.planning import plan
from parity.records.plan import SuitePlan
from parity.reports import results
from parity.spec.loading import load_spec


@pytest.fixture
def planned(folder: SpecFolder) -> SuitePlan:
    return plan(load_spec(str(folder.write(f"{SOUND}baseline: base.json\n"))))


def errors_of(plan: SuitePlan) -> dict[str, float]:
    assert plan.baseline is not None
    return {
        f"{case}/{name}": figure.max_abs
        for case, outputs in plan.baseline.figures.items()
        for name, figure in outputs.items()
    }


@pytest.mark.parametrize("kind", sorted(made.all_kinds()))
def test_results_and_what_is_written_of_them_are_the_same_baseline(
    kind: str, planned: SuitePlan, tmp_path: Path
) -> None:
    report = made.all_kinds()[kind]
    written, whole = tmp_path / "written.json", tmp_path / "results.json"
    write_baseline(report, written)
    whole.write_text(results.render(report))
    mine, theirs = (errors_of(with_baseline(planned, str(path))) for path in (written, whole))
    assert mine.keys() == theirs.keys()
    assert mine == {key: pytest.approx(error, rel=1e-5) for key, error in theirs.items()}


def test_a_noise_floor_of_one_input_set_stands_for_the_others(planned: SuitePlan, tmp_path: Path) -> None:
    diagnosed = made.output("y", 1e-5, diagnosis=made.diagnosis(None, 1e-5))
    cases = (
        made.case("model", (diagnosed,)),
        made.case("model", (made.output("y", 2e-5),), input_set="1"),
    )
    path = tmp_path / "base.json"
    write_baseline(made.report(cases, 0), path)
    baseline = with_baseline(planned, str(path)).baseline
    assert baseline is not None
    assert {figure.noise_floor for case in baseline.figures.values() for figure in case.values()} == {5.2e-5}


def test_two_runs_alike_write_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_baseline(made.green(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "2026" not in (tmp_path / "a").read_text()


FIGURE = '{"schema_version": 1, "cases": [{"id": "a", "outputs": [{"name": "y", "max_abs": %s}]}]}'
WRONG = {
    "": "is no baseline",
    "{}": "is no baseline",
    "[]": "is no baseline",
    '{"schema_version": 2, "cases": []}': "version 2",
    FIGURE % "-1": "no error that 'y' can have",
    FIGURE % '"0"': "is no baseline",
    FIGURE % "1e999": "baseline",
    FIGURE % "NaN": "is no baseline",
}


@pytest.mark.parametrize("content", WRONG)
def test_a_file_that_is_no_baseline_is_an_error_at_its_place(
    content: str, folder: SpecFolder, planned: SuitePlan
) -> None:
    (folder.root / "base.json").write_text(content)
    with pytest.raises(SpecError, match=WRONG[content]) as caught:
        with_baseline(planned)
    assert caught.value.at.endswith(":7:1")
    assert "--write-baseline" in caught.value.fix
    with pytest.raises(SpecError) as caught:
        with_baseline(planned, str(folder.root / "base.json"))
    assert caught.value.at == "--baseline"


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_a_baseline_or_an_error(data: bytes) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "base.json"
        path.write_bytes(data)
        with pytest.raises(SpecError):
            check_writable(path)
        assert path.read_bytes() == data


def test_a_missing_file_names_the_command_that_makes_it(planned: SuitePlan) -> None:
    with pytest.raises(SpecError, match=r"there is no baseline 'base\.json'") as caught:
        with_baseline(planned)
    assert caught.value.fix.endswith("/base.json")
    with pytest.raises(SpecError, match="can't be read"):
        with_baseline(planned, str(Path(planned.base_dir)))


def test_growth_that_is_to_fail_needs_a_baseline(folder: SpecFolder) -> None:
    bare = plan(load_spec(str(folder.write(SOUND))))
    assert with_baseline(bare) is bare
    with pytest.raises(SpecError, match="there is no baseline"):
        with_baseline(bare, fail=True)


def test_nothing_but_a_baseline_is_written_over(tmp_path: Path) -> None:
    spec = tmp_path / "parity.yml"
    spec.write_text("version: 1\n")
    with pytest.raises(SpecError, match="is no baseline"):
        check_writable(spec)
    check_writable(tmp_path / "new.json")
    write_baseline(made.green(), tmp_path / "old.json")
    check_writable(tmp_path / "old.json")
    with pytest.raises(CannotJudge, match="can't be written"):
        write_baseline(made.green(), spec / "below.json")


def test_it_is_one_line_for_each_figure(tmp_path: Path) -> None:
    write_baseline(made.green(), tmp_path / "base.json")
    text = (tmp_path / "base.json").read_text()
    assert sum('"max_abs"' in line for line in text.splitlines()) == text.count('"max_abs"') == 13
    assert json.loads(text)["schema_version"] == 1
