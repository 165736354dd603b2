"""The files that a specification names: each must be there before anything runs."""

from __future__ import annotations

import difflib
import glob
import re
import stat
from collections.abc import Iterator
from pathlib import Path as FilePath

from parity.registry import INPUT_FORMATS, LOADERS
from parity.spec import loaders
from parity.spec.images import IMAGE_FORMATS
from parity.spec.messages import Finding
from parity.spec.models import ModelSpec, OnnxSpec
from parity.spec.places import Path
from parity.spec.schema import Spec

CHECKPOINT_FORMATS = (".pth", ".pt", ".ckpt", ".safetensors")
_NUMBERED = re.compile(r"(input|output)_\d+\.pb")
_RELATIVE = "paths are relative to the specification file"


def missing_files(spec: Spec, base: FilePath) -> Iterator[Finding]:
    """What is wrong with each file that `spec` names; `base` is the specification's folder."""
    if spec.model is not None:
        yield from _model(("model",), spec.model, base)
    if spec.onnx is not None:
        yield from _onnx(("onnx",), spec.onnx, base)
    for name, component in (spec.components or {}).items():
        if component.model is not None:
            yield from _model(("components", name, "model"), component.model, base)
        yield from _onnx(("components", name, "onnx"), component.onnx, base)
    for index, each in enumerate(spec.comparisons or ()):
        for role in ("reference", "candidate"):
            for name, path in (getattr(each, role).onnx or {}).items():
                yield from _file(("comparisons", index, role, "onnx", name), path, base)
    if spec.pipeline is not None:
        yield from _target(("pipeline",), spec.pipeline, base)
    if spec.inputs.provider is not None:
        yield from _target(("inputs", "provider"), spec.inputs.provider, base)
    yield from _libraries(spec, base)
    for index, pattern in enumerate(spec.inputs.files or ()):
        yield from _inputs(("inputs", "files", index), pattern, base)
    if spec.inputs.images is not None:
        for index, pattern in enumerate(spec.inputs.images.files):
            yield from _images(("inputs", "images", "files", index), pattern, base)


def _libraries(spec: Spec, base: FilePath) -> Iterator[Finding]:
    for index, library in enumerate(spec.onnxruntime.custom_ops):
        look = _target if ":" in library else _file
        yield from look(("onnxruntime", "custom_ops", index), library, base)


def matching_files(pattern: str, base: FilePath) -> list[str]:
    """Absolute paths of the files and data sets that a path or pattern names, sorted.

    A path that is literally there stands for itself alone, whatever it holds.
    """
    if is_file(base / pattern) or is_data_set(base / pattern):
        return [str(base / pattern)]
    found = (base / name for name in glob.glob(pattern, root_dir=base, recursive=True))  # noqa: PTH207 - takes absolute ones
    return sorted(str(path) for path in found if is_file(path) or is_data_set(path))


def is_data_set(path: FilePath) -> bool:
    """Whether there is a folder of one input set: ``input_0.pb``, ... or ``inputs.npz``."""
    return any(is_file(path / name) for name in ("input_0.pb", "output_0.pb", "inputs.npz"))


def is_file(path: FilePath) -> bool:
    """Whether there is a regular file; False also where the name is none that a file can have."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: FilePath) -> bool:
    """Whether there is a folder; False also where the name is none that a folder can have."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: FilePath) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # Path.is_file raises for a name that is too long
        return 0


def _model(path: Path, model: ModelSpec, base: FilePath) -> Iterator[Finding]:
    archive = loaders.archive_of(model)
    if archive is not None:
        key, file = archive
        yield from _file((*path, key), file, base)
    elif model.loader == "transformers" and isinstance(model.config, str):
        yield from _pretrained((*path, "config"), model.config, base)
    elif model.loader in LOADERS and isinstance(model.config, str):
        yield from _file((*path, "config"), model.config, base)
    if model.target is not None and loaders.names_callable(model):
        yield from _target((*path, "target"), model.target, base)
    if model.checkpoint is not None:
        at = (*path, "checkpoint")
        if FilePath(model.checkpoint).suffix not in CHECKPOINT_FORMATS:
            yield Finding(
                at, f"{model.checkpoint!r} is no checkpoint", f"write one of {', '.join(CHECKPOINT_FORMATS)}"
            )
        else:
            yield from _file(at, model.checkpoint, base)


def _pretrained(path: Path, name: str, base: FilePath) -> Iterator[Finding]:
    """A folder that `save_pretrained` wrote, or a config.json; never a name on a hub."""
    if is_file(base / name):
        return
    if not is_folder(base / name):
        fix = _near(name, base) or (
            f"nothing is fetched from a hub: `hf download {name} --local-dir models/{FilePath(name).name}` "
            "beforehand, and name that folder"
        )
        yield Finding(path, f"there is no folder {name!r}", fix)
    elif not is_file(base / name / "config.json"):
        fix = "name a folder that save_pretrained wrote"
        yield Finding(path, f"there is no config.json in {name!r}", fix)


def _onnx(path: Path, onnx: OnnxSpec, base: FilePath) -> Iterator[Finding]:
    if onnx.export is None:
        hint = "to have it exported write `onnx: {path: ..., export: {exporter: dynamo}}`"
        yield from _file((*path, "path"), onnx.path, base, hint)
    elif is_folder(base / onnx.path):
        yield Finding((*path, "path"), f"{onnx.path!r} is a folder", "name the file to write in it")


def _target(path: Path, target: str, base: FilePath) -> Iterator[Finding]:
    file = target.rpartition(":")[0]
    if file.endswith(".py"):
        yield from _file(path, file, base)


def _inputs(path: Path, pattern: str, base: FilePath) -> Iterator[Finding]:
    found = matching_files(pattern, base)
    if not found:
        yield Finding(path, f"no file matches {pattern!r}", _near(pattern, base) or _RELATIVE)
    for file in found:
        if _NUMBERED.fullmatch(FilePath(file).name):
            fix = f"name the folder itself: {str(FilePath(pattern).parent)!r}"
            yield Finding(path, f"{FilePath(file).name!r} is one tensor of a data set", fix)
            return
        if is_folder(FilePath(file)):
            continue
        if FilePath(file).suffix not in INPUT_FORMATS:
            name = FilePath(file).name
            fix = f"inputs are {', '.join(INPUT_FORMATS)}; narrow the pattern, such as 'samples/*.npz'"
            yield Finding(path, f"{name!r} is no file of inputs", fix)
            return


def _images(path: Path, pattern: str, base: FilePath) -> Iterator[Finding]:
    found = matching_files(pattern, base)
    if not found:
        yield Finding(path, f"no file matches {pattern!r}", _near(pattern, base) or _RELATIVE)
    for file in found:
        if FilePath(file).suffix.lower() not in IMAGE_FORMATS:
            fix = f"images are {', '.join(IMAGE_FORMATS)}; narrow the pattern, such as 'images/*.jpg'"
            yield Finding(path, f"{FilePath(file).name!r} is no image", fix)
            return


def _file(path: Path, name: str, base: FilePath, hint: str = _RELATIVE) -> Iterator[Finding]:
    if is_folder(base / name):
        yield Finding(path, f"{name!r} is a folder", "name a file in it")
    elif not is_file(base / name):
        yield Finding(path, f"there is no file {name!r}", _near(name, base) or hint)


def _near(name: str, base: FilePath) -> str:
    """A file in the same folder whose name is nearly that."""
    wanted = base / name
    try:
        names = [entry.name for entry in wanted.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(wanted.name, names, 1, cutoff=0.75)
    return f"did you mean {str(FilePath(name).parent / near[0])!r}?" if near else ""
