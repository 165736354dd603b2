"""Whole networks, from both exporters: in float64, graph and module agree below the rounding of float32."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from support.architectures import ARCHITECTURES, EXPORTERS, Exporter, build, exported

from parity.diagnosis.onnx64 import Graph64, Step

# What is left is the float32 rounding of constants in the file: folded batch norms, epsilons, angles.
CONSTANTS = 5e-7


def _raised(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _outputs(result: object) -> list[torch.Tensor]:
    if isinstance(result, dict):
        result = tuple(result.values())
    return list(result) if isinstance(result, tuple | list) else [result]  # type: ignore[list-item]


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_agrees_with_the_module_in_float64(name: str, exporter: Exporter) -> None:
    module = build(name)
    inputs = module.example_inputs(1)
    graph = Graph64(exported(name, exporter))
    evaluation = graph.run(dict(zip(module.input_names, (tensor.numpy() for tensor in inputs), strict=True)))
    assert evaluation.unknown == {}
    with torch.no_grad():
        expected = _outputs(copy.deepcopy(module).double()(*map(_raised, inputs)))
    for output, tensor in zip(evaluation.outputs.values(), expected, strict=True):
        bound = CONSTANTS * max(1.0, float(tensor.abs().max()))
        np.testing.assert_allclose(np.asarray(output), tensor.numpy(), rtol=0, atol=bound)


def test_a_float16_round_trip_in_the_file_stays_visible() -> None:
    """The first convolution's result, cast to float16 and back, is as wrong here as in a runtime."""
    from onnx import TensorProto
    from support.graphs import node

    module = build("resnet")
    inputs = {"x": module.example_inputs(1)[0].numpy()}
    sound = exported("resnet", "dynamo")
    broken = copy.deepcopy(sound)
    first = next(proto for proto in broken.graph.node if proto.op_type == "Conv")
    there = node("Cast", first.output[0] + "_32", first.output[0] + "_16", to=TensorProto.FLOAT16)
    back = node("Cast", first.output[0] + "_16", first.output[0], to=TensorProto.FLOAT)
    first.output[0] += "_32"
    place = list(broken.graph.node).index(first) + 1
    broken.graph.node.insert(place, back)
    broken.graph.node.insert(place, there)
    a, b = (np.asarray(Graph64(built).run(inputs).outputs["logits"]) for built in (sound, broken))
    assert 1e-5 < np.abs(a - b).max() < 1e-2


def test_every_named_intermediate_of_the_file_is_observed() -> None:
    module = build("bert")
    built = exported("bert", "torchscript")
    seen: set[str] = set()

    def observe(step: Step) -> None:
        seen.update(step.outputs)

    inputs = zip(module.input_names, (tensor.numpy() for tensor in module.example_inputs(1)), strict=True)
    Graph64(built).run(dict(inputs), observe=observe)
    assert seen == {name for proto in built.graph.node for name in proto.output if name}
