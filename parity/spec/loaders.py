"""What each loader needs of `target`, `config` and `args`. A package's own loader judges its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from parity.records.jobs import SAVED
from parity.registry import LOADERS, find_loader
from parity.spec.fields import parse_target
from parity.spec.refusing import wrong

if TYPE_CHECKING:
    from parity.spec.models import ModelSpec

_PART = re.compile(r"\w+(\.\w+)*", re.ASCII)
_CONFIG_EXAMPLES = {
    "mmengine": "configs/pillars.py",
    "transformers": "models/bert",
}
ARCHIVES = {"torchscript": "build/model.ts", "exported-program": "build/model.pt2"}
"""Loaders whose one file is the whole model, and an example of its name."""

CONFIGURED = frozenset(_CONFIG_EXAMPLES)
"""Loaders that build from a config; `target` names the part, or the callable that makes it."""


def _loader(name: str) -> str:
    if name == SAVED:
        return name
    try:
        find_loader(name)
    except LookupError as error:
        raise wrong(f"there is no loader {name!r}", str(error)) from error
    return name


LoaderName = Annotated[
    str,
    AfterValidator(_loader),
    WithJsonSchema({"anyOf": [{"enum": [*LOADERS, SAVED], "type": "string"}, {"type": "string"}]}),
]


def check(model: ModelSpec) -> None:
    """Holds the keys of a model against what its loader needs.

    Raises:
        PydanticCustomError: one of them is missing, or can't be what the loader takes.
    """
    for error in _errors(model):
        raise error


def names_callable(model: ModelSpec) -> bool:
    """Whether the model's `target` is Python code, and no file or part."""
    own = model.loader == "python" or model.loader in CONFIGURED
    return own and model.target is not None and ":" in model.target


def archive_of(model: ModelSpec) -> tuple[str, str] | None:
    """The key that names the archive of such a loader, and the file; None with any other loader."""
    if model.loader not in ARCHIVES:
        return None
    key = "target" if model.target is not None else "config"
    return key, str(getattr(model, key))


def _errors(model: ModelSpec) -> Iterator[PydanticCustomError]:
    if model.loader == "python":
        if model.target is None:
            yield wrong("'target' is missing", "add `target: model.py:build`", on_key=True)
        else:
            parse_target(model.target, ("target",))
    elif model.loader in CONFIGURED:
        yield from _configured(model)
    elif model.loader in ARCHIVES:
        yield from _archive(model)


def _configured(model: ModelSpec) -> Iterator[PydanticCustomError]:
    if model.config is None:
        fix = f"add `config: {_CONFIG_EXAMPLES[model.loader]}`, which {model.loader} builds the model from"
        yield wrong("'config' is missing", fix, on_key=True)
    if model.target is None:
        return
    if ":" in model.target:
        parse_target(model.target, ("target",))
    elif not _PART.fullmatch(model.target):
        fix = "write a part of the model such as backbone.layer1, or file.py:callable that is given the model"
        yield wrong(f"{model.target!r} names no part of a model", fix, ("target",))


def _archive(model: ModelSpec) -> Iterator[PydanticCustomError]:
    example = f"`target: {ARCHIVES[model.loader]}`"
    if model.target is None and model.config is None:
        yield wrong("'target' is missing", f"add {example}, the file to load", on_key=True)
    elif model.target is not None and model.config is not None:
        yield wrong("'config' is given beside 'target'", "name the file once", ("config",), on_key=True)
    elif not isinstance(model.config, str | None):
        yield wrong("a mapping is no file", f"write {example}", ("config",))
    elif model.args:
        fix = "leave it out: the file holds the model as a whole"
        yield wrong(f"'args' has no meaning with the loader {model.loader!r}", fix, ("args",), on_key=True)
