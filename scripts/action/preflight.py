"""Step 1: is all there that the run needs? What is missing is told, with how to mend it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import engine
from checkout import credentials, git_folders
from messages import WRONG_SPEC, Stop, group, say, warning, write_outputs
from native import find_parity
from settings import Inputs, Runner

_PULL_S = 3_600.0
_ATTEMPTS = 3
_GIB = 2**30
_NEEDED_GIB = {"gpu": 14, "cpu": 4}  # to pull and unpack the image; docs/action.md
_TOOLKIT = (
    "install the NVIDIA Container Toolkit on the runner, then `sudo nvidia-ctk runtime configure "
    "--runtime=docker` and restart docker; or say `gpus: none`"
)


def run(inputs: Inputs, runner: Runner) -> int:
    """Checks the inputs and the machine; makes the folder of this run.

    Raises:
        Stop: something is missing.
    """
    specs = inputs.specs(runner.workspace)
    _check_file("requirements", inputs.requirements, runner)
    _check_file("baseline", inputs.baseline, runner)
    mode = _mode(inputs.mode, runner)
    say(f"mode: {mode}; specifications: {', '.join(specs)}")
    image, gpus = _container(inputs, runner) if mode == "container" else _native(runner)
    made = Path(tempfile.mkdtemp(prefix="parity-", dir=runner.temporary))
    # On the host and by its user: docker would make it as root, and the next checkout could not remove it.
    (made / "output").mkdir()
    write_outputs(runner.outputs, {"mode": mode, "image": image, "gpus": gpus, "run-dir": made})
    return 0


def _mode(asked: str, runner: Runner) -> str:
    """Isolation is never given up silently: ``auto`` is native only where the job is a container already."""
    if asked != "auto":
        return asked
    if runner.job_container:
        return "native"
    if runner.environ.get("KUBERNETES_SERVICE_HOST") and shutil.which("docker") is None:
        return "native"
    return "container"


def _native(runner: Runner) -> tuple[str, str]:
    say(f"parity: {find_parity(runner)}")
    warning("mode native: the model's code runs with the rights of this job, not in a container of its own")
    for config in credentials(runner.workspace):
        warning(
            f"{config} holds the job's token, and the model's code can read it\n"
            "fix: persist-credentials: false for actions/checkout"
        )
    return "", "none"


def _container(inputs: Inputs, runner: Runner) -> tuple[str, str]:
    """The id of the image that is there now, and its GPUs."""
    answer = engine.ask("info", "--format", "{{.DockerRootDir}}")
    if answer.returncode:
        raise Stop(f"the docker engine does not answer: {answer.stderr.strip()[-500:]}", engine.NO_DOCKER)
    gpus = inputs.gpus if inputs.gpus != "auto" else ("all" if _host_has_gpu() else "none")
    variant = "cpu" if gpus == "none" else "gpu"
    reference = inputs.image or runner.of_step(f"IMAGE_{variant.upper()}")
    with group(f"Image {reference}"):
        _pull(reference, _NEEDED_GIB[variant], Path(answer.stdout.strip()))
        # The id, not the name: what was checked here is what runs, in every step.
        image = engine.ask("image", "inspect", "--format", "{{.Id}}", "--", reference).stdout.strip()
    if hidden := git_folders(runner.workspace):
        say(f"hidden from the model's code: {', '.join(map(str, hidden))}")
    return image, _checked_gpus(gpus, image, asked=inputs.gpus != "auto")


def _pull(reference: str, needed_gib: int, root: Path) -> None:
    if reference.startswith("-"):
        raise Stop(f"the input `image` is {reference!r}", "name an image", WRONG_SPEC)
    if engine.ask("image", "inspect", "--", reference).returncode == 0:
        say("is there already")
        return
    free = shutil.disk_usage(root).free / _GIB if root.is_dir() else None
    if free is not None and free < needed_gib:
        raise Stop(
            f"{free:.1f} GiB are free in {root}; the image needs {needed_gib} GiB",
            "make room on the runner, or take the CPU image: gpus: none",
        )
    for _attempt in range(_ATTEMPTS):
        answer = engine.ask("pull", "--quiet", "--", reference, timeout=_PULL_S)
        if answer.returncode == 0:
            return
        say(answer.stderr.strip())
    raise Stop(
        f"the image {reference} could not be pulled: {answer.stderr.strip()[-500:]}",
        "check its name, the network, and that this job may read it (docker/login-action before this step)",
    )


def _host_has_gpu() -> bool:
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0 and "GPU" in found.stdout


def _checked_gpus(gpus: str, image: str, *, asked: bool) -> str:
    """Starts a container with the GPUs, which tells more than any list of runtimes does."""
    if gpus == "none":
        return gpus
    options = ["--entrypoint", "/bin/true", "--network", "none", *engine.gpu_option(gpus)]
    command = engine.run_command(image, [], [], engine.new_name(), options)
    answer = engine.ask(*command[1:], timeout=300)
    if answer.returncode == 0:
        return gpus
    problem, fix = gpu_problem(answer.stderr)
    if asked:
        raise Stop(problem, fix)
    # A specification that asks for CUDA is not passed by this: `parity` ends with 3 without the device.
    warning(f"the runner has a GPU but containers don't get it, so none is used: {problem}\nfix: {fix}")
    return "none"


def gpu_problem(stderr: str) -> tuple[str, str]:
    """What docker's words mean, and what mends it."""
    said = stderr.strip()[-500:]
    if "could not select device driver" in said or "failed to discover GPU" in said:
        return "docker has no GPU runtime", _TOOLKIT
    if "unsatisfied condition: cuda" in said:
        return "the runner's NVIDIA driver is too old for the image's CUDA", (
            "update the driver; the image's CUDA version is in docs/container.md"
        )
    if "nvidia-container-cli" in said or "unknown device" in said:
        return f"the NVIDIA runtime could not hand over the GPU: {said}", (
            "check `nvidia-smi` on the runner and the indices of the input `gpus`"
        )
    return f"a container with GPUs could not be started: {said}", _TOOLKIT


def _check_file(name: str, path: str, runner: Runner) -> None:
    if path and not (runner.workspace / path).is_file():
        raise Stop(f"the input `{name}`: there is no file {path!r} in the workspace", status=WRONG_SPEC)
