"""Traces of a small PyTorch module and of an ONNX graph written out node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from parity.diagnosis.localizing import Localization, localize
from parity.diagnosis.matching import Matches, match
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.tracing import Trace, trace_graph, trace_module

Node = tuple[str, Sequence[str], Sequence[str]] | tuple[str, Sequence[str], Sequence[str], dict[str, Any]]


def write_model(
    nodes: Sequence[Node],
    module: nn.Module,
    outputs: Sequence[str] = ("y",),
    inputs: Sequence[str] = ("x",),
    **constants: npt.ArrayLike,
) -> ModelProto:
    """A model whose initializers are the module's parameters and buffers by name, and the constants.

    Nodes have the names of their first outputs.
    """
    held = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    held |= {name: _single(value) for name, value in constants.items()}
    graph = helper.make_graph(
        [
            helper.make_node(node[0], node[1], node[2], name=node[2][0], **(node[3] if len(node) > 3 else {}))
            for node in nodes
        ],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _single(value: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


@dataclass(frozen=True)
class Traced:
    """Both traces, matched."""

    graph: Trace
    module: Trace
    matches: Matches

    def localize(self, output: str = "y") -> Localization:
        return localize(self.graph, self.module, self.matches, output)

    def suspects(self, output: str = "y") -> list[str]:
        """The nodes that are suspected, the first before the others."""
        return [suspect.op.node for suspect in self.localize(output).suspects]


def trace_both(module: nn.Module, model: ModelProto, inputs: Mapping[str, Tensor]) -> Traced:
    """Evaluates both on the same inputs. A module with several outputs returns a tuple in their order."""
    names = [value.name for value in model.graph.output]
    paths = {name: str(i) for i, name in enumerate(names)} if len(names) > 1 else {names[0]: "output"}
    _, of_module = trace_module(module.eval(), tuple(inputs.values()), {}, inputs, paths)
    _, of_graph = trace_graph(Graph64(model), inputs)
    return Traced(of_graph, of_module, match(of_graph, of_module))
