"""The ``transformers`` loader: a local folder, or a config in place with its architecture. Always offline."""

from __future__ import annotations

import difflib
import inspect
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from parity.records.jobs import ModelJob
from parity.worker.loaders import Built
from parity.worker.loaders.common import RANDOM, part, require, seeded
from parity.worker.problems import Unable, user_code

_SHOWN = 5
# What makes a model return named tensors, and no cache: an ONNX file has no place for Python objects.
_FOR_EXPORT = {"use_cache": False, "return_dict": True}


def load(job: ModelJob, base_dir: Path) -> Built:
    """Builds the architecture of a config; ``args`` are settings over it, ``dtype`` and ``architecture``.

    The weights are the folder's, unless the job has a checkpoint; a config without either gets random ones.

    Raises:
        Unable: transformers is not installed, or the folder, the config or its weights are not sound.
    """
    require("transformers", job.loader)
    # Read when the library is imported, which the user's own code may have done: hence local_files_only too.
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    settings = dict(job.args)
    dtype = _dtype(settings.pop("dtype", None))
    architecture = settings.pop("architecture", None)
    finish = part(job.target, base_dir)
    if isinstance(job.config, str) and Path(job.config).is_dir():
        folder = Path(job.config)
        config = _config_of(folder, settings)
        kind = _architecture(architecture, config)
        if job.checkpoint is None:
            module, notes = _pretrained(kind, folder, config, dtype, chosen=architecture is not None)
            return Built(module, finish, notes)
    else:
        values = {**_mapping(job.config), **settings}
        inline = values.pop("architecture", None)
        config = _config_from(values)
        kind = _architecture(architecture or inline, config)
    with user_code(f"building {kind.__name__} with transformers"), seeded():
        module = kind(config)
    if dtype is not None:
        module.to(dtype)
    return Built(module, finish, (RANDOM,) if job.checkpoint is None else ())


def _mapping(config: str | dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(config, dict):
        return dict(config)
    if config is None or not Path(config).is_file():
        raise Unable(
            "specification",
            "the loader 'transformers' needs a 'config'"
            if config is None
            else f"there is no folder {config}",
            fix="name a folder with config.json and weights, or write the config in place; nothing is "
            "fetched from a hub",
        )
    try:
        values = json.loads(Path(config).read_text("utf-8"))
    except ValueError as error:
        raise Unable(
            "specification", f"{config} is no JSON", fix="name a config.json", detail=str(error)
        ) from error
    if not isinstance(values, dict):
        raise Unable("specification", f"{config} holds no mapping", fix="name a config.json of transformers")
    names = values.pop("architectures", None) or [None]
    return {**values, "architecture": values.get("architecture", names[0])}


def _config_of(folder: Path, settings: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig

    with user_code(f"reading the config of {folder.name} with transformers"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    _check_names(settings, type(config))
    _set(config, {**_FOR_EXPORT, **settings})
    return config


def _config_from(values: dict[str, Any]) -> Any:
    from transformers import CONFIG_MAPPING

    kind = values.pop("model_type", None)
    if kind not in CONFIG_MAPPING:
        near = difflib.get_close_matches(kind, CONFIG_MAPPING.keys(), 1) if isinstance(kind, str) else []
        raise Unable(
            "specification",
            "the config has no 'model_type'" if kind is None else f"transformers has no model type {kind!r}",
            fix=f"did you mean {near[0]!r}?" if near else "add it, such as `model_type: bert`",
        )
    _check_names(values, CONFIG_MAPPING[kind])
    with user_code(f"making a config of the type {kind!r} with transformers"):
        config = CONFIG_MAPPING[kind](**values)
    _set(config, {key: value for key, value in _FOR_EXPORT.items() if key not in values})
    return config


def _set(config: Any, settings: Mapping[str, Any]) -> None:
    """In the config and, where the text has one of its own, there too."""
    text = config.get_text_config()
    for name, value in settings.items():
        with user_code(f"setting {name!r} of the config"):
            setattr(config, f"_{name}" if name == "attn_implementation" else name, value)
            if name in _FOR_EXPORT and text is not config:
                setattr(text, name, value)


def _check_names(names: Iterable[str], kind: Any) -> None:
    """A config takes any name and ignores most: a misspelt one would be another model without a word."""
    known = {"attn_implementation", *_FOR_EXPORT, *getattr(kind, "attribute_map", {})}
    for base in kind.__mro__[:-1]:
        known |= set(inspect.signature(base.__init__).parameters)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise Unable(
                "specification",
                f"{kind.__name__} has no setting {name!r}",
                fix=f"did you mean {near[0]!r}?" if near else "leave it out",
            )


def _architecture(name: str | None, config: Any) -> Any:
    import transformers

    name = name or next(iter(config.architectures or ()), None)
    if name is None:
        raise Unable(
            "specification",
            "the config names no architecture",
            fix="add it, such as `architecture: BertModel`",
        )
    found: Any = getattr(transformers, name, None)
    if not _is_model(found):
        near = difflib.get_close_matches(name, dir(transformers), 1)
        raise Unable(
            "specification",
            f"transformers {transformers.__version__} has no model {name!r}",
            fix=f"did you mean {near[0]!r}?"
            if near
            else "code beside a checkpoint is not run: use `loader: python`",
        )
    if found.config_class is not None and not isinstance(config, found.config_class):
        raise Unable(
            "specification",
            f"{name} takes a {found.config_class.__name__}, the config is a {type(config).__name__}",
            fix="name an architecture of this model_type",
        )
    return found


def _is_model(found: Any) -> bool:
    from transformers import PreTrainedModel

    return isinstance(found, type) and issubclass(found, PreTrainedModel)


def _pretrained(
    kind: Any, folder: Path, config: Any, dtype: torch.dtype | None, *, chosen: bool
) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """The model with the folder's weights: all of its own, and further ones only if it was `chosen`."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    given = {} if dtype is None else {"dtype": dtype}
    with user_code(f"loading {folder.name} with transformers"), seeded():
        module, report = kind.from_pretrained(
            folder, config=config, local_files_only=True, output_loading_info=True, **given
        )
    differing = {
        "missing": sorted(map(str, report["missing_keys"])),
        "of another shape": sorted(map(str, report["mismatched_keys"])),
        "unexpected": sorted(map(str, report["unexpected_keys"])),
    }
    ignored = differing.pop("unexpected") if chosen else []
    wrong = [f"{len(names)} {what} ({_listed(names)})" for what, names in differing.items() if names]
    if wrong:
        raise Unable(
            "model",
            f"the weights in {folder.name} are not those of {kind.__name__}: {', '.join(wrong)}",
            fix="name the architecture that was saved, or another folder",
            detail="\n".join(map(str, report.get("error_msgs") or ())),
        )
    note = f"{folder.name}: {len(ignored)} weights are of no use to {kind.__name__}: {_listed(ignored)}"
    return module, (note,) if ignored else ()


def _dtype(name: object) -> torch.dtype | None:
    if name is None:
        return None
    dtype = getattr(torch, str(name), None)
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise Unable("specification", f"{name!r} is no float dtype", fix="write float32, float16 or bfloat16")
    return dtype


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
