"""Parts of the steps' scripts that a run of the action does not show."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from support.composite import REPOSITORY, commands, parse_outputs

SCRIPTS = REPOSITORY / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Imports a module of scripts/action as the steps do; none stays behind for other tests."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(SCRIPTS / "release"))
    monkeypatch.syspath_prepend(str(SCRIPTS / "action"))
    yield import_module
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", "") or "").startswith(str(SCRIPTS)):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["plain", "with, comma", 'with "quotes"', "with = equals"])
def test_any_path_can_be_mounted(script, name: str) -> None:
    (fields,) = csv.reader([str(script("engine").Mount(Path("/a") / name, "/workspace"))])
    assert fields == ["type=bind", f"src=/a/{name}", "dst=/workspace", "readonly"]


def test_every_git_folder_near_the_root_is_found_and_a_token_in_it_told(script, tmp_path: Path) -> None:
    for place in (".", "models/detector", "a/b/c", "a/b/c/too/deep"):
        (tmp_path / place / ".git").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "models")
    (tmp_path / "models/detector/.git/config").write_text(
        '[http "https://github.com/"]\n\textraheader = AUTH'
    )
    checkout = script("checkout")
    assert {str(path) for path in checkout.git_folders(tmp_path)} == {
        ".git",
        "models/detector/.git",
        "a/b/c/.git",
    }
    assert checkout.credentials(tmp_path) == [Path("models/detector/.git/config")]


def test_results_are_taken_only_from_a_file_of_bounded_size(script, tmp_path: Path) -> None:
    take, limit = script("report").take, script("report").SIZE_LIMIT
    target = tmp_path / "target"
    source = tmp_path / "results.json"
    assert "No such file" in take(source, target)
    os.mkfifo(source)
    assert "is no file" in take(source, target)  # and does not wait for a writer
    source.unlink()
    with source.open("wb") as file:
        file.truncate(limit + 1)
    assert "MiB" in take(source, target)
    assert not target.exists()
    source.write_bytes(b"{}")
    assert take(source, target) == ""
    assert target.read_bytes() == b"{}"


def test_of_saved_cases_only_scripts_and_tensors_are_kept(script, tmp_path: Path) -> None:
    hand_on = script("repros").hand_on
    secret, source, target = (tmp_path / name for name in ("secret", "repro", "kept"))
    secret.mkdir()
    (secret / "x.npy").write_bytes(b"secret")
    case = source / "case-1"
    for part in ("inputs", "other"):
        (case / part).mkdir(parents=True)
        (case / part / "x.npy").write_bytes(b"12345")
    (case / "repro.py").write_text("print(1)")
    (case / "inputs" / "notes.txt").touch()
    (case / "inputs" / "linked.npy").symlink_to(secret / "x.npy")
    (case / "reference").symlink_to(secret)
    (source / "linked").symlink_to(case)
    os.mkfifo(case / "inputs" / "pipe.npy")
    stale, foreign = target / "case-0", target / "mine"
    stale.mkdir(parents=True)
    foreign.mkdir()
    (stale / "repro.py").touch()
    assert hand_on(source, target) == ""
    kept = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert kept == ["case-1/inputs/x.npy", "case-1/repro.py"]
    assert foreign.is_dir()
    assert "MiB" in hand_on(source, target, limit=10)
    assert hand_on(tmp_path / "none", target) == ""


def test_what_is_printed_can_be_no_command(script, capsys: pytest.CaptureFixture[str]) -> None:
    messages = script("messages")
    messages.say("::error::hijacked\n  ::warning::hijacked ##[error]hijacked \x1b[31m")
    messages.warning("line\r\n::error::hijacked%0A::error::again")
    with messages.commands_stopped():
        sys.stdout.write("::error::from the model\n")
    obeyed = commands(capsys.readouterr().out)
    assert [line.split("::")[1].split(" ")[0] for line in obeyed] == ["warning", "stop-commands"]


def test_an_output_can_set_no_other(script, tmp_path: Path) -> None:
    path = tmp_path / "outputs"
    script("messages").write_outputs(path, {"mode": "native\nparity_0\nimage=evil", "gpus": "none"})
    assert parse_outputs(path.read_text()) == {"mode": "native\nparity_0\nimage=evil", "gpus": "none"}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [([0, 0], 0), ([0, 3], 3), ([3, 1], 1), ([1, 4], 4), ([0, 137], 3), ([0, -1], 3), ([], 3)],
)
def test_the_worst_status_counts_and_an_unknown_one_is_no_pass(
    script, statuses: list[int], expected: int
) -> None:
    assert script("messages").worst(statuses) == expected


@pytest.mark.parametrize(
    ("environ", "docker", "expected"),
    [
        ({"JOB_CONTAINER": "abc"}, True, "native"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False, "native"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True, "container"),
        ({}, False, "container"),  # which then fails: isolation is not given up because docker is missing
    ],
)
def test_auto_gives_up_isolation_only_in_a_container(
    script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    docker: bool,
    expected: str,
) -> None:
    preflight, settings = script("preflight"), script("settings")
    monkeypatch.setattr(preflight.shutil, "which", lambda _name: "/usr/bin/docker" if docker else None)
    places = {"GITHUB_WORKSPACE": str(tmp_path), "RUNNER_TEMP": str(tmp_path)}
    assert preflight._mode("auto", settings.Runner.read({**places, **environ})) == expected
    assert preflight._mode("container", settings.Runner.read({**places, **environ})) == "container"


def test_specifications_are_found_once_each_and_never_taken_for_options(script, tmp_path: Path) -> None:
    settings = script("settings")
    for name in ("parity.yml", "models/a/parity.yml", "models/b/parity.yml", "-rf.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    inputs = settings.Inputs.read({"INPUT_SPEC": "parity.yml\n**/parity.yml\n\n -rf.yml"})
    assert inputs.specs(tmp_path) == ["parity.yml", "models/a/parity.yml", "models/b/parity.yml", "./-rf.yml"]


def test_a_release_names_its_images_by_content(script) -> None:
    pin: ModuleType = script("pin_images")
    digests = {"gpu": "sha256:" + "a" * 64, "cpu": "sha256:" + "b" * 64}
    text = (REPOSITORY / "action.yml").read_text()
    made = pin.pinned(text, "ghcr.io/Acme/onnx-parity-action", digests)
    changed = [line.strip() for line in made.splitlines() if line not in text.splitlines()]
    image = "ghcr.io/acme/onnx-parity-action"
    assert changed == [f"IMAGE_GPU: {image}@{digests['gpu']}", f"IMAGE_CPU: {image}@{digests['cpu']}"]
    assert pin.pinned(made, "ghcr.io/Acme/onnx-parity-action", digests) == made
    for wrong in ({**digests, "cpu": ""}, {**digests, "cpu": "latest"}):
        with pytest.raises(ValueError, match="no digest"):
            pin.pinned(text, "ghcr.io/acme/x", wrong)
    with pytest.raises(ValueError, match="0 lines"):
        pin.pinned("name: x\n", "ghcr.io/acme/x", digests)


def test_a_script_outside_of_a_workflow_says_so() -> None:
    command = [sys.executable, "-I", str(SCRIPTS / "action")]
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run([*command, "verify"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "GITHUB_WORKSPACE is not set" in done.stdout
    done = subprocess.run([*command, "other"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
