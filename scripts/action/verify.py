"""Step 2: runs both models. Untrusted: this is the pull request's own code, and it gets no token."""

from __future__ import annotations

from collections.abc import Sequence

import engine
from checkout import git_folders
from engine import OUTPUT, WORKSPACE, Mount
from messages import UNJUDGED, WORST_FIRST, commands_stopped, error, write_outputs
from native import environment, find_parity, interpreter
from settings import Inputs, Runner
from supervise import Supervised

SHM_SIZE = "2g"  # data loaders with workers pass tensors through it; docker's own 64 MB are soon full


def run(inputs: Inputs, runner: Runner) -> int:
    """Runs the gate; puts out its exit status, whatever it is. The verdict is the last step's.

    Returns:
        0 when `parity` came to an end of its own, so that the step that failed is the one that says why.
    """
    output = runner.run_dir / "output"
    arguments = ["run", *inputs.specs(runner.workspace)]
    arguments += ["--devices", inputs.devices] if inputs.devices else []
    arguments += ["--baseline", inputs.baseline] if inputs.baseline else []
    arguments += ["--fail-on-growth"] if "growth" in inputs.fail_on else []
    if runner.of_step("MODE") == "native":
        status = _run_native(inputs, runner, [*arguments, *inputs.extra_args, "--report-dir", str(output)])
    else:
        # The workspace can't be written, so what a specification exports goes elsewhere.
        arguments += [*inputs.extra_args, "--report-dir", OUTPUT, "--export-dir", f"{OUTPUT}/exported"]
        status = _run_container(inputs, runner, arguments)
    write_outputs(runner.outputs, {"exit-code": status})
    if status in WORST_FIRST:
        return 0
    error(_why(status))
    return UNJUDGED


def _run_container(inputs: Inputs, runner: Runner, arguments: Sequence[str]) -> int:
    name = engine.new_name()
    command = container_command(inputs, runner, arguments, name)
    supervised = Supervised(lambda: engine.ask("rm", "--force", name))
    with commands_stopped():
        # The client needs its own settings (DOCKER_HOST, HOME); the container gets what `command` names.
        return supervised.run(command, runner.environ, runner.temporary)


def container_command(inputs: Inputs, runner: Runner, arguments: Sequence[str], name: str) -> list[str]:
    """The whole command line: all that the model's code gets to see is in it."""
    mounts = [
        Mount(runner.workspace, WORKSPACE),
        Mount(runner.run_dir / "output", OUTPUT, writable=True),
    ]
    options = ["--workdir", WORKSPACE, "--shm-size", SHM_SIZE, "--network", inputs.network]
    for folder in git_folders(runner.workspace):  # the job's token may be in there
        options += ["--mount", engine.hidden(f"{WORKSPACE}/{folder.as_posix()}")]
    for variable, value in _settings(inputs, WORKSPACE).items():
        options += ["--env", f"{variable}={value}"]
    options += engine.gpu_option(runner.of_step("GPUS") or "none")
    return engine.run_command(runner.of_step("IMAGE"), arguments, mounts, name, options)


def _run_native(inputs: Inputs, runner: Runner, arguments: Sequence[str]) -> int:
    """The entrypoint in place: the same settings, requirements and signals as in the container."""
    entrypoint = runner.action / "entrypoint.py"
    command = [str(interpreter(find_parity(runner))), "-I", str(entrypoint), *arguments]
    environ = {
        **environment(runner.environ),
        **_settings(inputs, str(runner.workspace)),
        "PARITY_CACHE_DIR": str(runner.run_dir / "cache"),
    }
    with commands_stopped():
        return Supervised(lambda: None).run(command, environ, runner.workspace)


def _settings(inputs: Inputs, workspace: str) -> dict[str, str]:
    settings = {"PARITY_WORKSPACE": workspace}
    if inputs.requirements:
        settings["PARITY_REQUIREMENTS"] = inputs.requirements
    if inputs.gpus not in ("auto", "none"):
        settings["PARITY_GPUS"] = inputs.gpus
    return settings


def _why(status: int) -> str:
    reasons = {
        125: "docker could not start the container; its reason is above",
        126: "the image's entrypoint could not be run: is it the action's image, or made from it?",
        127: "the image has no entrypoint of parity: is it the action's image, or made from it?",
        137: "it was killed: out of memory, or by hand",
        143: "it was told to end: the job was cancelled",
        130: "it was told to end: the job was cancelled",
    }
    return (
        f"the gate did not come to an end (exit status {status}): {reasons.get(status, 'its log is above')}"
    )
