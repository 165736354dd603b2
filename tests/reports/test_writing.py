from __future__ import annotations

from pathlib import Path

import pytest
from support import reports as made

from parity import registry
from parity.errors import CannotJudge
from parity.reports import writing

KINDS = made.all_kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_every_reporter_of_the_registry_writes_its_file(kind: str, tmp_path: Path) -> None:
    paths = writing.write_reports(KINDS[kind], tmp_path / "new" / "folder")
    assert set(paths) == set(registry.REPORTERS)
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == set(registry.REPORTERS)
    for name, path in paths.items():
        assert path.read_bytes().decode() == registry.resolve(registry.REPORTERS[name])(KINDS[kind])
        assert path.stat().st_mode & 0o044 == 0o044


def test_a_reporter_that_fails_leaves_the_source_and_no_earlier_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing.write_reports(KINDS["green"], tmp_path)
    monkeypatch.setattr(writing, "REPORTERS", {**registry.REPORTERS, "summary.md": "json:loads"})
    with pytest.raises(TypeError):
        writing.write_reports(KINDS["red"], tmp_path)
    assert (tmp_path / "results.json").exists()
    assert not (tmp_path / "summary.md").exists()


@pytest.mark.parametrize("blocked", ["file", "folder"])
def test_a_folder_that_cannot_be_written_is_named(blocked: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    if blocked == "file":
        target.write_text("not a folder")
    else:
        (target / "junit.xml").mkdir(parents=True)
    with pytest.raises(CannotJudge, match="can't be written") as caught:
        writing.write_reports(KINDS["green"], target)
    assert caught.value.at.startswith(str(target))
    assert "--report-dir" in caught.value.fix
