"""The ``python`` loader: a callable of the user's that returns the module."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from parity.records.jobs import ModelJob
from parity.worker.problems import Unable, listed, user_code
from parity.worker.targets import FORMS, import_target


def load(job: ModelJob, base_dir: Path) -> torch.nn.Module:
    """Calls the target with ``config=`` (a mapping, or the `Path` of a file) and the arguments of the job.

    Raises:
        Unable: the target can't be imported, doesn't take these arguments, raises, or returns no module.
    """
    if job.target is None:
        raise Unable("specification", "the loader 'python' needs a 'target'", fix=f"write it as {FORMS}")
    build = import_target(job.target, base_dir)
    if isinstance(build, torch.nn.Module):
        raise Unable(
            "specification", f"{job.target} is a module already built", fix="name a function that returns it"
        )
    arguments = _arguments(job)
    _check_arguments(build, job.target, arguments)
    with user_code(f"building the model with {job.target}"):
        module = build(**arguments)
    if not isinstance(module, torch.nn.Module):
        kind = "None" if module is None else f"an object of type {type(module).__qualname__}"
        raise Unable(
            "model", f"{job.target} returned {kind}, no torch.nn.Module", fix="return the module from it"
        )
    return module


def _arguments(job: ModelJob) -> dict[str, Any]:
    if job.config is None:
        return job.args
    if "config" in job.args:
        raise Unable(
            "specification",
            "the model's 'config' is given twice",
            fix="take it out of 'args', or drop the key",
        )
    return {"config": Path(job.config) if isinstance(job.config, str) else job.config, **job.args}


def _check_arguments(build: Callable[..., Any], target: str, arguments: dict[str, Any]) -> None:
    """A `TypeError` from the call could as well come from inside it; this one is about the specification."""
    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError):  # some callables written in C have none
        return
    by_name = {
        p.name: p
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in arguments:
        if name not in by_name and not takes_any:
            near = difflib.get_close_matches(name, by_name, 1)
            raise Unable(
                "specification",
                f"{target} takes no argument {name!r}; it takes {listed(by_name)}",
                fix=f"did you mean {near[0]!r}?" if near else "drop it, or let the function take it",
            )
    missing = [name for name, p in by_name.items() if p.default is p.empty and name not in arguments]
    if missing:
        raise Unable(
            "specification",
            f"{target} needs {listed(missing)}, which the specification does not give",
            fix="add it under 'args' (or 'config') of the model, or give the parameter a default",
        )
