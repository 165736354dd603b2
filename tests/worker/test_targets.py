from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.reference import unable

from parity.worker.targets import import_target


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_file_finds_its_siblings_and_the_folder_of_the_specification(tmp_path: Path) -> None:
    write(
        tmp_path, "nets/model.py", "from blocks_x import N\nfrom common_x import M\ndef build(): return N + M"
    )
    write(tmp_path, "nets/blocks_x.py", "N = 3")
    write(tmp_path, "common_x.py", "M = 4")

    assert import_target("nets/model.py:build", tmp_path)() == 7


def test_a_file_is_run_once_and_known_under_a_name_of_its_own(tmp_path: Path) -> None:
    source = "import dataclasses\n@dataclasses.dataclass\nclass Net:\n    x: 'int' = 1\nclass Other: pass"
    write(tmp_path, "json.py", source)  # a name that the standard library has

    net, other = import_target("json.py:Net", tmp_path), import_target("json.py:Other", tmp_path)

    assert net.__module__ == other.__module__ != "json"
    assert sys.modules[net.__module__].Net is net


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    write(tmp_path, "a/model.py", "def build(): return 'a'")
    write(tmp_path, "b/model.py", "def build(): return 'b'")

    assert import_target("a/model.py:build", tmp_path)() == "a"
    assert import_target("b/model.py:build", tmp_path)() == "b"


def test_a_module_of_a_package_and_a_nested_name(tmp_path: Path) -> None:
    write(tmp_path, "pkg_x/__init__.py", "")
    write(tmp_path, "pkg_x/nets.py", "class Net:\n    @staticmethod\n    def tiny(): return 1")

    assert import_target("pkg_x.nets:Net.tiny", tmp_path)() == 1


@pytest.mark.parametrize(
    ("target", "reason", "said", "fix"),
    [
        ("model.py", "specification", "names no Python callable", "file.py:callable"),
        (":build", "specification", "names no Python callable", "file.py:callable"),
        ("gone.py:build", "specification", "no file", "relative to the specification"),
        ("model.py:biuld", "specification", "model.py has no 'biuld'", "did you mean 'build'?"),
        ("model.py:SIZE", "specification", "can't be called", "name a function"),
        ("gone_x.nets:build", "specification", "no module 'gone_x'", "install it"),
        ("broken.py:build", "user-code", "ZeroDivisionError while importing broken.py", ""),
        ("needs.py:build", "user-code", "No module named 'not_there_x'", ""),
        ("ends.py:build", "user-code", "sys.exit(3) while importing ends.py", "return or raise"),
        ("bad.py:build", "user-code", "SyntaxError while importing bad.py", ""),
    ],
)
def test_what_can_not_be_imported_is_said(
    tmp_path: Path, target: str, reason: str, said: str, fix: str
) -> None:
    write(tmp_path, "model.py", "SIZE = 3\ndef build(): pass")
    write(tmp_path, "broken.py", "1 / 0")
    write(tmp_path, "needs.py", "import not_there_x")
    write(tmp_path, "ends.py", "import sys; sys.exit(3)")
    write(tmp_path, "bad.py", "def build(:")

    error = unable(lambda: import_target(target, tmp_path))

    assert error.reason == reason
    assert said in error.problem
    assert fix in error.fix


def test_a_module_whose_import_failed_is_tried_again(tmp_path: Path) -> None:
    write(tmp_path, "model.py", "1 / 0")
    unable(lambda: import_target("model.py:build", tmp_path))
    write(tmp_path, "model.py", "def build(): return 1")

    assert import_target("model.py:build", tmp_path)() == 1
