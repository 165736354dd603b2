"""action.yml as GitHub's runner runs it: its steps in order, its expressions by GitHub's own evaluator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
NODE_SCRIPTS = REPOSITORY / "tests" / "action" / "node"
TOOLS_VARIABLE = "PARITY_GITHUB_TOOLS"


def node_tools() -> Path:
    """The folder with GitHub's npm packages; without it the test is skipped, and says how to get it."""
    default = Path.home() / ".cache" / "onnx-parity-action" / "github-tools"
    folder = Path(os.environ.get(TOOLS_VARIABLE) or default)
    if shutil.which("node") is None or not (folder / "node_modules").is_dir():
        missing = f"needs node and GitHub's npm packages: run scripts/github-tools (or set {TOOLS_VARIABLE})"
        if os.environ.get("GITHUB_ACTIONS"):  # where they can be had, nothing is left out
            pytest.fail(missing)
        pytest.skip(missing)
    return folder


@dataclass
class StepRun:
    """What a step did. `outcome` as in the context `steps`: success, failure or skipped."""

    outcome: str
    status: int | None = None
    log: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""


@dataclass
class ActionRun:
    """All steps by id, and the action's outputs."""

    steps: dict[str, StepRun]
    outputs: dict[str, str]

    @property
    def passed(self) -> bool:
        return all(step.outcome != "failure" for step in self.steps.values())

    @property
    def log(self) -> str:
        return "".join(step.log for step in self.steps.values())


class Composite:
    """The action in a workspace.

    Args:
        workspace: the checkout of the user's repository.
        temporary: stands for RUNNER_TEMP.
        environ: of the job, on top of a bare one.
        github: further entries of the context `github`.
        job: the context `job`.
        matrix: the context `matrix`.
    """

    def __init__(
        self,
        workspace: Path,
        temporary: Path,
        *,
        environ: Mapping[str, str] | None = None,
        github: Mapping[str, Any] | None = None,
        job: Mapping[str, Any] | None = None,
        matrix: Mapping[str, Any] | None = None,
    ) -> None:
        self.tools = node_tools()
        self.definition = yaml.safe_load((REPOSITORY / "action.yml").read_text())
        self.workspace, self.temporary = workspace, temporary
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(temporary),
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(REPOSITORY),
            "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_REPOSITORY": "acme/detector",
            "GITHUB_JOB": "parity",
            "RUNNER_TEMP": str(temporary),
            "OMP_NUM_THREADS": "1",
            **(environ or {}),
        }
        self.contexts: dict[str, Any] = {
            "github": {"token": "ghs_secret", **(github or {})},
            "job": {"status": "success", **(job or {})},
            "matrix": dict(matrix) if matrix else None,
            "runner": {"temp": str(temporary)},
        }

    def run(self, **inputs: str) -> ActionRun:
        """Runs every step whose `if` holds; inputs have underscores for their hyphens."""
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        declared = {name: str(entry.get("default", "")) for name, entry in self.definition["inputs"].items()}
        assert given.keys() <= declared.keys(), given.keys() - declared.keys()
        contexts = {**self.contexts, "inputs": self._evaluate(declared, self.contexts, {}) | given}
        steps: dict[str, StepRun] = {}
        for step in self.definition["runs"]["steps"]:
            contexts["steps"] = _steps_context(steps)
            steps[step["id"]] = self._step(step, contexts, steps)
        contexts["steps"] = _steps_context(steps)
        values = {name: entry["value"] for name, entry in self.definition["outputs"].items()}
        return ActionRun(steps, self._evaluate(values, contexts, {}))

    def _step(self, step: dict[str, Any], contexts: dict[str, Any], before: dict[str, StepRun]) -> StepRun:
        failed = any(run.outcome == "failure" for run in before.values())
        status = {"always": True, "success": not failed, "failure": failed, "cancelled": False}
        condition = str(step.get("if", "success()"))
        held = self._evaluate({"if": f"${{{{ {condition} }}}}"}, contexts, status)["if"]
        if held != "true":
            return StepRun("skipped")
        assert step["shell"] == "bash"
        environ = self.environ | self._evaluate(step.get("env", {}), contexts, status)
        files = {
            name: self.temporary / f"{step['id']}-{name}" for name in ("output", "summary", "env", "path")
        }
        for path in files.values():
            path.write_text("")
        environ |= {
            "GITHUB_OUTPUT": str(files["output"]),
            "GITHUB_STEP_SUMMARY": str(files["summary"]),
            "GITHUB_ENV": str(files["env"]),
            "GITHUB_PATH": str(files["path"]),
        }
        script = self.temporary / f"{step['id']}.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            env=environ,
            cwd=self.workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return StepRun(
            "success" if done.returncode == 0 else "failure",
            done.returncode,
            done.stdout.decode(errors="backslashreplace"),
            parse_outputs(files["output"].read_text(encoding="utf-8")),
            files["summary"].read_text(encoding="utf-8"),
        )

    def _evaluate(
        self, templates: Mapping[str, str], contexts: Mapping[str, Any], status: Mapping[str, bool]
    ) -> dict[str, str]:
        request = {"contexts": contexts, "status": status, "templates": templates}
        done = subprocess.run(
            ["node", str(NODE_SCRIPTS / "evaluate.mjs"), str(self.tools)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        evaluated: dict[str, str] = json.loads(done.stdout)
        return evaluated


def _steps_context(steps: Mapping[str, StepRun]) -> dict[str, Any]:
    return {name: {"outcome": run.outcome, "outputs": run.outputs} for name, run in steps.items()}


def parse_outputs(text: str) -> dict[str, str]:
    """The file of GITHUB_OUTPUT as the runner reads it; what it would refuse fails the test."""
    outputs: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc >= 0 and (equals < 0 or heredoc < equals):
            name, delimiter = line.split("<<", 1)
            value = []
            for part in lines:
                if part == delimiter:
                    break
                value.append(part)
            else:
                raise AssertionError(f"the delimiter of {name} is missing")
            outputs[name] = "\n".join(value)
        else:
            assert equals >= 0, f"no output: {line!r}"
            name, outputs[name] = line.split("=", 1)
    return outputs


def commands(log: str) -> list[str]:
    """The workflow commands that the runner obeys in a log: as its ActionCommandManager finds them."""
    obeyed, stopped = [], ""
    for line in log.splitlines():
        text = line.lstrip()
        if stopped:
            if text == f"::{stopped}::":
                stopped = ""
            continue
        if text.startswith("::") and "::" in text[2:]:
            obeyed.append(text)
            if text.startswith("::stop-commands::"):
                stopped = text.removeprefix("::stop-commands::")
        elif "##[" in line and "]" in line.split("##[", 1)[1]:
            obeyed.append(line)
    return obeyed
