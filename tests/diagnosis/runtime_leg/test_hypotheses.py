"""Hypotheses about an accelerator, on a backend that claims to be one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from parity.artifacts import Array
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.runtime_leg import How, Run, causes
from parity.diagnosis.runtime_leg.backend import PRODUCTION
from parity.diagnosis.runtime_leg.grouping import grouped
from parity.diagnosis.runtime_leg.node_pass import NodePass
from parity.records.diagnosis import Cause
from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.worker.candidate_diagnosis import OrtBackend

Right = Callable[[How], bool]


class Accelerator(OrtBackend):
    """ONNX Runtime on the CPU as ``cuda:0``, whose results are off by 1 % unless it is opened right."""

    def __init__(self, right: Right, folder: Path) -> None:
        super().__init__("cpu", Numerics(), OnnxRuntimeOptions(optimization="disable_all"), folder)
        self._right = right

    def open(self, model: str | ModelProto, how: How = PRODUCTION) -> Run:
        self.device = "cpu"
        run = super().open(model, How(how.optimization))
        self.device = "cuda:0"
        factor = np.float32(1.0 if self._right(how) else 1.01)

        def off(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            return {name: array * factor for name, array in run(feeds).items()}

        return off


def cause(right: Right, folder: Path, provider: str = "") -> Cause:
    """Of one convolution."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype("f"), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    graph64 = Graph64(model)
    nodes = NodePass(graph64, Accelerator(right, folder))
    graph64.run({"x": np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype("f")}, nodes)
    (group,) = grouped(nodes.reaching("y"))
    return causes.of_nodes(group, 1.0, "cuda:0", provider)


def test_a_kernel_that_is_right_on_the_cpu(tmp_path: Path) -> None:
    found = cause(lambda how: how.on_cpu, tmp_path)
    assert found.kind == "provider"
    assert "off on cuda:0 and right on the CPU" in found.message


@pytest.mark.parametrize("search", ["DEFAULT", "HEURISTIC"])
def test_another_algorithm_search(search: str, tmp_path: Path) -> None:
    found = cause(lambda how: ("cudnn_conv_algo_search", search) in how.provider_options, tmp_path)
    assert found.kind == "algorithm"
    assert found.remedy == f"onnxruntime: {{provider_options: {{cudnn_conv_algo_search: {search}}}}}"


def test_a_node_that_fell_back(tmp_path: Path) -> None:
    found = cause(lambda how: False, tmp_path, "CPUExecutionProvider")
    assert found.kind == "fallback"
    assert "CPUExecutionProvider runs it" in found.message


def test_nothing_explains_it(tmp_path: Path) -> None:
    assert cause(lambda how: False, tmp_path).kind == "unknown"
