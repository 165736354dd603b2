"""`parity run --export-dir`."""

from __future__ import annotations

from pathlib import Path

from support.projects import Project


def test_exported_files_go_to_a_folder_of_their_own(tmp_path: Path) -> None:
    workspace, exported = tmp_path / "work", tmp_path / "exported"
    workspace.mkdir()
    project = Project(workspace)
    before = {path.name for path in workspace.iterdir()} | {"parity.yml", "parity-report"}
    onnx = {"path": "made/model.onnx", "export": {"exporter": "torchscript"}}
    done = project.run("--export-dir", str(exported), onnx=onnx)
    assert done.status == 0, done.stdout + done.stderr
    assert [path.name for path in exported.rglob("*") if path.is_file()] == ["model.onnx"]
    assert {path.name for path in workspace.iterdir() if path.name != "__pycache__"} <= before


def test_files_that_are_there_stay_where_they_are(tmp_path: Path) -> None:
    exported = tmp_path / "exported"
    done = Project(tmp_path).run("--export-dir", str(exported))
    assert done.status == 0, done.stdout + done.stderr
    assert not exported.exists()
