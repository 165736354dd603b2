"""Graphs as ONNX Runtime has changed them, written as files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from parity.worker.onnx_files import external_bytes
from parity.worker.problems import Unable

if TYPE_CHECKING:
    from onnx import ModelProto

_QUIET = 3  # errors only: saving an optimized graph warns that it is for this machine alone
_EXTERNAL_FILE = "session.optimized_model_external_initializers_file_name"
_LARGE = 2**29  # bytes of a model that is not written a second time just to be looked at


def save_to(options: Any, folder: str, name: str, path: str) -> str:
    """Makes a session on the file `path` write its optimized graph to ``folder/name.onnx``; gives that path.

    Weights that lie in files of their own do so again, in ``name.onnx.data``: a single file ends at 2 GB.

    Raises:
        Unable: ``specification``; the folder can't be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unable(
            "specification",
            f"the folder {folder} for optimized models can't be made: {error.strerror}",
            fix="name a folder that can be written under onnxruntime.save_optimized",
        ) from error
    target = str(Path(folder) / f"{name}.onnx")
    options.optimized_model_filepath = target
    options.log_severity_level = max(options.log_severity_level, _QUIET)
    if external_bytes(path):
        options.add_session_config_entry(_EXTERNAL_FILE, f"{name}.onnx.data")
    return target


def divided_graph(ort: Any, path: str, options: Any) -> ModelProto:
    """The graph of a file as ONNX Runtime divides it between providers, without external data.

    That is after the basic optimizations, if the session has these. Of a large model, and of one that the CPU
    provider can't load, it is the graph in the file.

    Args:
        ort: the module onnxruntime.
        path: of the file.
        options: of the session; not used afterwards.
    """
    import onnx

    level = ort.GraphOptimizationLevel
    if options.graph_optimization_level == level.ORT_DISABLE_ALL or (
        Path(path).stat().st_size + external_bytes(path) > _LARGE
    ):
        return onnx.load(path, load_external_data=False)
    options.graph_optimization_level = level.ORT_ENABLE_BASIC
    with TemporaryDirectory(prefix="parity-divided-") as folder:
        target = save_to(options, folder, "divided", path)
        try:
            ort.InferenceSession(path, options, ["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001 - an operator that only the other provider has a kernel for
            return onnx.load(path, load_external_data=False)
        return onnx.load(target, load_external_data=False)
