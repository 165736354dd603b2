from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import reports as made

from parity.commands import report as command
from parity.errors import CannotJudge, ExitCode, SpecError
from parity.registry import REPORTERS
from parity.reports import results
from parity.reports.writing import write_reports

KINDS = made.all_kinds()


@pytest.mark.parametrize(
    ("kind", "code"), [("green", 0), ("red", 1), ("wrong-spec", 2), ("errors", 3), ("hostile", 1)]
)
def test_all_reports_come_again_from_the_results_alone(
    kind: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_reports(KINDS[kind], tmp_path / "first")
    before = first["results.json"].stat().st_mtime_ns
    assert command.run(str(first["results.json"]), str(tmp_path / "again")) == code
    assert first["results.json"].stat().st_mtime_ns == before
    assert {path.name for path in (tmp_path / "again").iterdir()} == set(REPORTERS) - {"results.json"}
    if kind != "hostile":  # results.json writes a lone surrogate as text
        for name in set(REPORTERS) - {"results.json"}:
            assert (tmp_path / "again" / name).read_bytes() == first[name].read_bytes()
    assert f"reports in {tmp_path / 'again'}"[:40] in capsys.readouterr().out.replace("\n", "")


def test_the_results_may_lie_where_the_reports_go(tmp_path: Path) -> None:
    source = write_reports(KINDS["red"], tmp_path)["results.json"]
    text = source.read_bytes()
    assert command.run(str(source), str(tmp_path)) is ExitCode.FAILED
    assert source.read_bytes() == text


def test_a_forged_pass_is_none(tmp_path: Path) -> None:
    source = tmp_path / "results.json"
    source.write_text(results.render(made.replaced(made.red(), exit_code=0)))
    assert command.run(str(source), str(tmp_path)) is ExitCode.FAILED


def test_no_file_is_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        command.run(str(tmp_path / "none.json"), str(tmp_path))


@pytest.mark.parametrize("what", ["folder", "truncated", "large"])
def test_what_is_no_report_leaves_no_report(what: str, tmp_path: Path) -> None:
    source = tmp_path / "results.json"
    if what == "folder":
        source.mkdir()
    elif what == "truncated":
        source.write_text(results.render(made.green())[:-200])
    else:
        with source.open("wb") as file:
            file.truncate(results.SIZE_LIMIT + 10)
    with pytest.raises(CannotJudge) as caught:
        command.run(str(source), str(tmp_path / "out"))
    assert str(source) in caught.value.at
    assert not (tmp_path / "out").exists()


def test_the_command_imports_no_report_before_it_runs() -> None:
    heavy = "print([m for m in ('rich', 'junit_xml', 'msgspec', 'numpy') if m in sys.modules])"
    program = f"import sys, parity.commands.report; {heavy}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
