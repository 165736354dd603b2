"""The inputs of action.yml and what the runner says of itself, read once from the environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from messages import WRONG_SPEC, Stop

MODES = ("auto", "container", "native")
COMMENT = ("always", "changes", "failures", "off")
FAIL_ON = ("difference", "growth")
_GPUS = re.compile(r"all|auto|none|\d+(,\d+)*|GPU-[0-9A-Fa-f-]+(,GPU-[0-9A-Fa-f-]+)*")
_KEY = re.compile(r"[A-Za-z0-9._-]{0,100}")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# The action's to set; argparse takes their beginnings as well.
_OWN_OPTIONS = ("--report-dir", "--export-dir", "--keep")


@dataclass(frozen=True)
class Runner:
    """Where this runs.

    Attributes:
        workspace: the checkout.
        temporary: the runner empties it after each job.
        action: the action's own checkout.
        outputs, summary: files that the step writes for GitHub; None outside of a workflow.
        job_container: id of the container that the job itself runs in; empty without one.
        matrix: the job's matrix as JSON.
        steps: what the steps before have put out, by the name that action.yml hands them on with.
    """

    workspace: Path
    temporary: Path
    action: Path
    outputs: Path | None
    summary: Path | None
    job_container: str
    matrix: str
    environ: Mapping[str, str]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Runner:
        """From the environment of a step.

        Raises:
            Stop: this is no step of a workflow.
        """
        try:
            workspace, temporary = Path(environ["GITHUB_WORKSPACE"]), Path(environ["RUNNER_TEMP"])
        except KeyError as error:
            raise Stop(f"{error.args[0]} is not set: this is meant to be run by action.yml") from error
        return cls(
            workspace=workspace,
            temporary=temporary,
            action=Path(__file__).resolve().parents[2],
            outputs=_file(environ, "GITHUB_OUTPUT"),
            summary=_file(environ, "GITHUB_STEP_SUMMARY"),
            job_container=environ.get("JOB_CONTAINER", ""),
            matrix=environ.get("MATRIX", ""),
            environ=environ,
        )

    def of_step(self, name: str) -> str:
        """What an earlier step has put out, as action.yml hands it on; empty when it has not."""
        return self.environ.get(name, "")

    @property
    def run_dir(self) -> Path:
        """The folder that preflight made for this run of the action.

        Raises:
            Stop: preflight made none.
        """
        if not (named := self.of_step("RUN_DIR")):
            raise Stop("preflight did not end well, so nothing was run")
        return Path(named)


@dataclass(frozen=True)
class Inputs:
    """The inputs of action.yml, each checked for its form. Names and defaults are explained there."""

    spec: tuple[str, ...]
    image: str
    mode: str
    gpus: str
    requirements: str
    devices: str
    network: str
    extra_args: tuple[str, ...]
    report_dir: str
    summary: bool
    comment: str
    comment_key: str
    baseline: str
    fail_on: tuple[str, ...]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Inputs:
        """From the environment that action.yml gives each step.

        Raises:
            Stop: an input has a value that it can't have.
        """

        def given(name: str) -> str:
            return environ.get(f"INPUT_{name}", "").strip()

        fail_on = tuple(re.findall(r"[^,\s]+", given("FAIL_ON") or "difference"))
        if unknown := [word for word in fail_on if word not in (*FAIL_ON, "never")]:
            raise _wrong("fail-on", unknown[0], f"`never`, or a list of {_listed(FAIL_ON)}")
        return cls(
            spec=tuple(line.strip() for line in given("SPEC").splitlines() if line.strip()),
            image=given("IMAGE"),
            mode=_one_of("mode", given("MODE") or "auto", MODES),
            gpus=_like("gpus", given("GPUS") or "auto", _GPUS, "all, auto, none, or indices such as 0,1"),
            requirements=_inside("requirements", given("REQUIREMENTS")),
            devices=given("DEVICES"),
            network=_like("network", given("NETWORK") or "bridge", _NETWORK, "the name of a docker network"),
            extra_args=_extra(given("EXTRA_ARGS")),
            report_dir=_inside("report-dir", given("REPORT_DIR") or "parity-report"),
            summary=_one_of("summary", given("SUMMARY") or "true", ("true", "false")) == "true",
            comment=_one_of("comment", given("COMMENT") or "off", COMMENT),
            comment_key=_like("comment-key", given("COMMENT_KEY"), _KEY, "letters, digits, `.`, `_` and `-`"),
            baseline=_inside("baseline", given("BASELINE")),
            fail_on=tuple(word for word in fail_on if word != "never"),
        )

    def specs(self, workspace: Path) -> list[str]:
        """The specification files, relative to the workspace, each once, patterns expanded.

        Raises:
            Stop: none is asked for, a pattern matches none, or one is outside of the workspace.
        """
        if not self.spec:
            raise Stop("the input `spec` is empty", "name a specification file: spec: parity.yml", WRONG_SPEC)
        found: list[str] = []
        for pattern in self.spec:
            _inside("spec", pattern)
            matches = sorted(path for path in workspace.glob(pattern) if path.is_file())
            if not matches:
                raise Stop(
                    f"the input `spec`: {pattern!r} matches no file of the workspace",
                    "paths and patterns are relative to the root of the repository; is it checked out?",
                    WRONG_SPEC,
                )
            found += [path.relative_to(workspace).as_posix() for path in matches]
        # Never taken for an option, whatever its name.
        return [f"./{name}" if name.startswith("-") else name for name in dict.fromkeys(found)]


def _extra(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise _wrong("extra-args", text, f"words as in a shell ({error})") from error
    for word in words:
        name = word.partition("=")[0]
        if word == "--" or (len(name) > 2 and any(own.startswith(name) for own in _OWN_OPTIONS)):
            raise _wrong("extra-args", word, "options that the action does not set itself")
    return words


def _inside(name: str, path: str) -> str:
    """The path when it leads into the workspace; nothing is looked up."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\x00" in path:
        raise _wrong(name, path, "a path inside of the workspace, relative to its root")
    return path


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise _wrong(name, value, _listed(allowed))
    return value


def _like(name: str, value: str, pattern: re.Pattern[str], expected: str) -> str:
    if not pattern.fullmatch(value):
        raise _wrong(name, value, expected)
    return value


def _wrong(name: str, value: str, expected: str) -> Stop:
    return Stop(f"the input `{name}` is {value!r}", f"it takes {expected}", WRONG_SPEC)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None
