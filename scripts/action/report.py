"""Step 3: shows the results. Trusted: no code of the pull request, but its results, which may be forged."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import engine
import repros
import stale
from engine import Mount
from messages import TOOL_DEFECT, UNJUDGED, WORST_FIRST, Stop, say, warning, write_outputs
from native import find_parity, interpreter
from settings import Inputs, Runner

RESULTS = "results.json"
REPORTS = ("junit.xml", "summary.md", "report.html", RESULTS)
SIZE_LIMIT = 64 * 2**20  # bytes, as the reader of the results has it; and of each report
_SUMMARY_LIMIT = 1_000_000  # bytes; GitHub drops a summary of more than 1 MiB whole
_LIMIT_S = 900.0
_FOLDER, _EVENT = "/report", "/event.json"
# What a program needs to know of the run to report it; the proxies to reach GitHub.
_PASSED_ON = (
    "GITHUB_ACTOR", "GITHUB_API_URL", "GITHUB_EVENT_NAME", "GITHUB_HEAD_REF", "GITHUB_JOB", "GITHUB_REF",
    "GITHUB_REPOSITORY", "GITHUB_RUN_ATTEMPT", "GITHUB_RUN_ID", "GITHUB_SERVER_URL", "GITHUB_SHA",
    "GITHUB_WORKFLOW", "GITHUB_ACTIONS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def run(inputs: Inputs, runner: Runner) -> int:
    """Publishes the results, puts out the verdict, and leaves the reports in the input `report-dir`.

    Returns:
        0, also for a red verdict: that is the gate's to say.

    Raises:
        Stop: preflight made no folder, so there is nothing to report.
    """
    try:
        folder = runner.run_dir / "report"
    except Stop:
        nothing_ran(runner)
        raise
    folder.mkdir()
    if problem := take(runner.run_dir / "output" / RESULTS, folder / RESULTS):
        warning(f"no results: {problem}")
    verdict = _publish(inputs, runner, folder)
    _hand_on(folder / "github-output", folder / "github-summary", runner)
    write_outputs(runner.outputs, {"verdict": verdict})
    _place(folder, runner.run_dir / "output", runner.workspace, inputs.report_dir)
    return 0


def nothing_ran(runner: Runner) -> None:
    """Says so where the results would be: in the outputs, the summary, and the comment of an earlier run."""
    write_outputs(runner.outputs, {"status": "error", "verdict": UNJUDGED})
    problem = runner.of_step("PREFLIGHT_PROBLEM") or "the log of the step preflight says why"
    _append_summary(runner, stale.told(problem).encode(errors="backslashreplace"))
    if said := stale.update(runner, problem):
        say(said)


def take(source: Path, target: Path) -> str:
    """Copies a file that untrusted code has written; says why it did not, or nothing.

    No link is followed, which could lead to the runner's secrets; no pipe is waited for; no more than
    `SIZE_LIMIT` is read.
    """
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"{source.name} can't be opened: {error.strerror}"
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return f"{source.name} is no file"
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        return f"{source.name} has more than {SIZE_LIMIT // 2**20} MiB"
    target.write_bytes(data)
    return ""


def _publish(inputs: Inputs, runner: Runner, folder: Path) -> int:
    """The exit status of `parity publish`: the verdict of the results it was given, or of none."""
    for name in ("github-output", "github-summary"):
        (folder / name).touch()
    if runner.of_step("MODE") == "native":
        command, environ = _native(inputs, runner, folder)
    else:
        command, environ = _container(inputs, runner, folder)
    try:
        status = subprocess.run(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, timeout=_LIMIT_S, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        status = TOOL_DEFECT
        warning(f"the results could not be published within {_LIMIT_S:g} s")
    if status not in WORST_FIRST:
        warning(f"the results could not be published: exit status {status}")
        return TOOL_DEFECT
    return status


def _arguments(inputs: Inputs, runner: Runner, results: str) -> list[str]:
    arguments = ["publish", results, "--comment", inputs.comment, "--shown-as", inputs.report_dir]
    arguments += ["--comment-key", inputs.comment_key] if inputs.comment_key else []
    arguments += ["--matrix", runner.matrix] if runner.matrix not in ("", "null") else []
    if (status := runner.of_step("VERIFY_EXIT_CODE")).isdigit():
        arguments += ["--exit-status", status]
    return [*arguments, *([] if inputs.summary else ["--no-summary"])]


def _container(inputs: Inputs, runner: Runner, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Of the checkout it gets nothing, of the job's environment what `_PASSED_ON` names."""
    mounts = [Mount(folder, _FOLDER, writable=True)]
    options = ["--workdir", "/tmp", "--read-only", "--tmpfs", "/tmp"]  # noqa: S108 - the container's own
    options += ["--env", f"GITHUB_OUTPUT={_FOLDER}/github-output"]
    options += ["--env", f"GITHUB_STEP_SUMMARY={_FOLDER}/github-summary"]
    options += ["--env", f"GITHUB_WORKSPACE={engine.WORKSPACE}"]
    if (event := runner.environ.get("GITHUB_EVENT_PATH")) and Path(event).is_file():
        mounts.append(Mount(Path(event), _EVENT))
        options += ["--env", f"GITHUB_EVENT_PATH={_EVENT}"]
    if inputs.comment == "off":
        options += ["--network", "none"]
    # Without a value: docker takes it from the environment, so that no token is in a command line.
    for name in (*_PASSED_ON, "GITHUB_TOKEN"):
        if _given(inputs, runner, name):
            options += ["--env", name]
    arguments = _arguments(inputs, runner, f"{_FOLDER}/{RESULTS}")
    command = engine.run_command(runner.of_step("IMAGE"), arguments, mounts, engine.new_name(), options)
    return command, dict(runner.environ)


def _native(inputs: Inputs, runner: Runner, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Isolated from PYTHONPATH and the working folder, which the model's code could have written."""
    arguments = _arguments(inputs, runner, str(folder / RESULTS))
    command = [str(interpreter(find_parity(runner))), "-I", "-m", "parity", *arguments]
    passed_on = (*_PASSED_ON, "GITHUB_TOKEN", "GITHUB_EVENT_PATH", "GITHUB_WORKSPACE", "PATH", "HOME")
    environ = {name: runner.environ[name] for name in passed_on if _given(inputs, runner, name)}
    environ["GITHUB_OUTPUT"] = str(folder / "github-output")
    environ["GITHUB_STEP_SUMMARY"] = str(folder / "github-summary")
    return command, environ


def _given(inputs: Inputs, runner: Runner, name: str) -> bool:
    return name in runner.environ and not (name == "GITHUB_TOKEN" and inputs.comment == "off")


def _hand_on(outputs: Path, summary: Path, runner: Runner) -> None:
    """Appends what `parity publish` wrote to the runner's own files, which no container gets to see."""
    if runner.outputs is not None:
        with runner.outputs.open("ab") as file:
            file.write(outputs.read_bytes())
    _append_summary(runner, summary.read_bytes())
    outputs.unlink()
    summary.unlink()


def _append_summary(runner: Runner, markdown: bytes) -> None:
    if runner.summary is not None and len(markdown) <= _SUMMARY_LIMIT:
        with runner.summary.open("ab") as file:
            file.write(markdown)


def _place(folder: Path, output: Path, workspace: Path, report_dir: str) -> None:
    """Puts the reports, and what `output` has beside them, where the next steps look for them.

    What an earlier run has left there goes.
    """
    target = workspace / report_dir
    try:
        if not target.resolve().is_relative_to(workspace.resolve()):
            warning(f"the reports stay in {folder}: {report_dir!r} leads out of the workspace")
            return
        target.mkdir(parents=True, exist_ok=True)
        for name in REPORTS:
            (target / name).unlink(missing_ok=True)
            if (folder / name).is_file():
                shutil.copyfile(folder / name, target / name)
        if problem := repros.hand_on(output / repros.FOLDER, target / repros.FOLDER):
            warning(f"not all failed cases could be kept to be run again: {problem}")
    except OSError as error:
        warning(f"the reports stay in {folder}: {report_dir!r} can't be written: {error.strerror}")
    else:
        say(f"reports: {report_dir}")
