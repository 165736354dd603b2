"""A reference side in this process, on a small user project on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from parity.artifacts import Array, read_tensor, write_tensor
from parity.records.jobs import MODEL, ComponentJob, ExportJob, ModelJob, Numerics
from parity.records.outcomes import Exported, Latency, Loaded, Ran
from parity.records.requests import ExportOnnx, LoadReference, MeasureLatency, RunReference
from parity.records.tensors import InputSet, TensorRecord
from parity.worker.problems import Unable
from parity.worker.reference import ReferenceSide

HEAD = "import torch\nfrom torch import nn\n"


class Project:
    """A folder with `model.py` (and whatever else is written), and a reference side that serves it."""

    def __init__(self, root: Path, source: str) -> None:
        self.root = root
        self.side = ReferenceSide()
        self.write("model.py", HEAD + source)

    def write(self, name: str, text: str) -> Path:
        """Writes a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def component(self, name: str = MODEL, target: str = "model.py:build", **fields: Any) -> ComponentJob:
        """A component whose ONNX file is exported, unless `export` is None."""
        model = ModelJob(loader="python", target=target, **fields.pop("model", {}))
        defaults: dict[str, Any] = {"export": ExportJob(exporter="torchscript", opset=17)}
        path = str(self.root / f"{name}.onnx")
        return ComponentJob(name=name, model=model, onnx=path, **{**defaults, **fields})

    def load(
        self,
        *components: ComponentJob,
        pipeline: str | None = None,
        numerics: Numerics | None = None,
        device: str = "cpu",
    ) -> Loaded:
        """Loads these components; by default the one of `model.py:build`."""
        answer = self.side.handle(
            LoadReference(
                components=components or (self.component(),),
                pipeline=pipeline,
                device=device,
                numerics=numerics or Numerics(grad=False),
                base_dir=str(self.root),
            )
        )
        assert isinstance(answer, Loaded)
        return answer

    def inputs(self, arrays: Mapping[str, Array]) -> InputSet:
        """An input set on disk."""
        records = [write_tensor(self.root / "inputs", k, v, hashed=True) for k, v in arrays.items()]
        return InputSet(id="0", tensors=tuple(records))

    def run(self, case: str = "0", **arrays: Array) -> Ran:
        """Runs the reference on these inputs."""
        directory = str(self.root / "runs" / case)
        answer = self.side.handle(RunReference(case=case, inputs=self.inputs(arrays), directory=directory))
        assert isinstance(answer, Ran)
        return answer

    def export(self, component: str = MODEL, case: str = "0") -> Exported:
        """Exports a component."""
        answer = self.side.handle(ExportOnnx(component=component, case=case))
        assert isinstance(answer, Exported)
        return answer

    def measure(self, runs: int = 2, warmup: int = 1, **arrays: Array) -> Latency:
        """Times the reference."""
        answer = self.side.handle(
            MeasureLatency(case="0", inputs=self.inputs(arrays), warmup=warmup, runs=runs)
        )
        assert isinstance(answer, Latency)
        return answer


def values(records: Sequence[TensorRecord] | None) -> dict[str, Array]:
    """Saved tensors by name."""
    assert records is not None
    return {record.name: np.array(read_tensor(record)) for record in records}


def write_onnx(
    path: Path,
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
    outputs: Sequence[str] = ("y",),
) -> None:
    """An ONNX file with this signature, whose outputs are copies of its first input."""
    dtype, shape = next(iter(inputs.values()))
    graph = helper.make_graph(
        [helper.make_node("Identity", [next(iter(inputs))], [output]) for output in outputs],
        "graph",
        [helper.make_tensor_value_info(name, kind, sizes) for name, (kind, sizes) in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, shape) for name in outputs],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def unable(call: Callable[[], object]) -> Unable:
    """The `Unable` that a call raises; what it says must survive the way to the host."""
    with pytest.raises(Unable) as caught:
        call()
    error = caught.value
    assert error.problem
    assert error.reason == "user-code" or not error.problem.endswith(".")
    msgspec.json.encode([error.problem, error.fix, error.detail])
    return error
