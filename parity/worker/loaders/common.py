"""What several loaders do alike: asking for their package, repeatable weights, the part that is compared."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from parity.records.jobs import ModelJob
from parity.worker.problems import Unable, user_code
from parity.worker.targets import import_target

SEED = 0
RANDOM = f"no checkpoint is given: the weights are random, drawn with the seed {SEED}"


def require(package: str, loader: str) -> None:
    """Checks that the package that a loader is made for is installed.

    Raises:
        Unable: ``model``; it is not. The specification is right, it is the environment that lacks something.
    """
    if importlib.util.find_spec(package) is None:
        raise Unable(
            "model",
            f"the loader {loader!r} needs the package {package!r}, which is not installed",
            fix=f"pip install 'onnx-parity-action[{loader}]', or the {package} that you trained with",
        )


@contextmanager
def seeded() -> Iterator[None]:
    """Weights that a library draws are the same each time: a worker that died builds its module once more."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        yield


def archive(job: ModelJob, base_dir: Path) -> Path:
    """The file that the job names with ``target`` or ``config``: all of the model, code and weights.

    Raises:
        Unable: ``specification``; there is none, or arguments are given that nothing takes.
    """
    name = job.target if job.config is None else job.config
    if not isinstance(name, str) or not name:
        raise Unable("specification", f"the loader {job.loader!r} needs a file", fix="name it with 'target'")
    path = base_dir / name
    if not path.is_file():
        raise Unable(
            "specification", f"there is no file {path}", fix="paths are relative to the specification"
        )
    if job.args:
        raise Unable(
            "specification",
            f"the model is in {path.name} as a whole: it takes no 'args', here {', '.join(job.args)}",
            fix="leave 'args' out",
        )
    return path


def part(target: str | None, base_dir: Path) -> Callable[[torch.nn.Module], torch.nn.Module]:
    """What makes of a built module the one that is compared.

    Args:
        target: None: the module itself. ``backbone.layer1``: that part of it. ``file.py:callable`` or
            ``package.module:callable``: what the callable returns when it is given the module.
        base_dir: the specification's folder.

    Raises:
        Unable: when the result is called; there is no such part, or the callable returns no module.
    """

    def finish(module: torch.nn.Module) -> torch.nn.Module:
        if target is None:
            return module
        return _wrapped(module, target, base_dir) if ":" in target else _submodule(module, target)

    return finish


def _wrapped(module: torch.nn.Module, target: str, base_dir: Path) -> torch.nn.Module:
    wrap = import_target(target, base_dir)
    with user_code(f"calling {target} with the model"):
        made = wrap(module)
    if not isinstance(made, torch.nn.Module):
        kind = "None" if made is None else f"an object of type {type(made).__qualname__}"
        raise Unable(
            "model", f"{target} returned {kind}, no torch.nn.Module", fix="return the module to compare"
        )
    return made


def _submodule(module: torch.nn.Module, path: str) -> torch.nn.Module:
    names = [name for name, _ in module.named_modules() if name]
    if path in names:
        return module.get_submodule(path)
    near = difflib.get_close_matches(path, names, 1)
    top = ", ".join(name for name, _ in module.named_children()) or "none"
    raise Unable(
        "specification",
        f"the {type(module).__qualname__} that was built has no part {path!r}; at its top are {top}",
        fix=f"did you mean {near[0]!r}?" if near else "name a part by its path, such as backbone.layer1",
    )
