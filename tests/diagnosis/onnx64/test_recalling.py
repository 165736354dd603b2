"""What another graph computes alike is taken from memory; what differs, and all below it, is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, NodeProto
from support.graphs import model, node, value

from parity.artifacts import Array
from parity.diagnosis.onnx64 import Graph64, Memory, Value
from parity.diagnosis.onnx64.execution import Executor
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.tracing import Sketch, Trace, trace_graph

X = np.random.default_rng(0).standard_normal((1, 4, 16, 16)).astype(np.float32)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first outputs of the nodes that were computed, in order."""
    names: list[str] = []
    compute: Callable[..., Sequence[Value]] = Executor.node

    def noting(self: Executor, each: Node, *rest: object) -> Sequence[Value]:
        names.append(each.outputs[0])
        return compute(self, each, *rest)

    monkeypatch.setattr(Executor, "node", noting)
    return names


def chain(change: Callable[[list[NodeProto]], None] = lambda _: None, **others: Array) -> ModelProto:
    """y = leaky(leaky(leaky(x f) g) h)."""
    nodes = []
    for before, factor, after in (("x", "f", "a"), ("a", "g", "b"), ("b", "h", "y")):
        nodes.append(node("Mul", f"{before} {factor}", f"{after}0"))
        nodes.append(node("LeakyRelu", f"{after}0", after, alpha=0.1))
    change(nodes)
    factors = {name: np.array([1.0 + place], np.float32) for place, name in enumerate("fgh")}
    return model(nodes, ["x"], ["y"], factors | others)


def traced(file: ModelProto, memory: Memory[Sketch] | None = None, x: Array = X) -> tuple[Array, Trace]:
    evaluation, trace = trace_graph(Graph64(file), {"x": x}, memory)
    output = evaluation.outputs["y"]
    assert isinstance(output, np.ndarray)
    return output, trace


class Roomy(Memory[Sketch]):
    """Keeps everything: of so small a graph, hardly any value has room beside those in use."""

    def keep(self, key: bytes, value: Value, seconds: float, room: int) -> None:
        super().keep(key, value, seconds, max(room, 1 << 30))


def filled() -> Memory[Sketch]:
    memory = Roomy()
    traced(chain(), memory)
    return memory


def another_slope(nodes: list[NodeProto]) -> None:
    nodes[3].attribute[0].f = 0.2


def other_names(nodes: list[NodeProto]) -> None:
    """Of the nodes, and of a tensor."""
    for each in nodes:
        each.name = f"renamed_{each.name}"
    nodes[2].output[0] = nodes[3].input[0] = "between"


def test_the_same_graph_is_not_computed_again(ran: list[str]) -> None:
    expected, before = traced(chain())
    memory = filled()
    ran.clear()

    found, after = traced(chain(other_names), memory)

    assert ran == []
    np.testing.assert_array_equal(found, expected)
    assert [op.op_type for op in after.ops] == [op.op_type for op in before.ops]
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert one.sketch is not None
        assert other.sketch is not None
        assert one.sketch.distance(other.sketch) == 0.0


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        (chain(another_slope), ["b", "y0", "y"]),
        (chain(g=np.array([2.5], np.float32)), ["b0", "b", "y0", "y"]),
        (chain(h=np.array([[2.0]], np.float32)), ["y0", "y"]),  # another shape
        (chain(f=np.array([1.0])), ["a0", "a", "b0", "b", "y0", "y"]),  # another type
    ],
    ids=["attribute", "constant", "shape", "type"],
)
def test_from_a_change_on_everything_is_computed(changed: ModelProto, due: list[str], ran: list[str]) -> None:
    expected, before = traced(changed)
    memory = filled()
    ran.clear()

    found, after = traced(changed, memory)

    assert ran == due
    np.testing.assert_array_equal(found, expected)
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert one.sketch is not None
        assert other.sketch is not None
        assert (one.name, one.sketch.distance(other.sketch)) == (other.name, 0.0)


def test_other_inputs_are_another_evaluation(ran: list[str]) -> None:
    memory = filled()
    ran.clear()

    found, _ = traced(chain(), memory, X + 1)

    assert len(ran) == 6
    np.testing.assert_array_equal(found, traced(chain(), None, X + 1)[0])


def test_what_is_not_kept_is_computed_from_what_is(ran: list[str]) -> None:
    memory = filled()
    memory.clear()
    ran.clear()

    found, _ = traced(chain(another_slope), memory)

    assert ran == ["a0", "a", "b0", "b", "y0", "y"]
    np.testing.assert_array_equal(found, traced(chain(another_slope))[0])


def test_no_more_is_kept_than_there_is_room_for_and_what_took_longest_stays() -> None:
    memory: Memory[Sketch] = Memory()
    for key, seconds in ((b"quick", 1.0), (b"slow", 9.0), (b"medium", 5.0)):
        memory.keep(key, torch.zeros(100), seconds, room=800)

    assert b"quick" not in memory
    assert b"slow" in memory
    assert b"medium" in memory
    memory.close()
    memory.keep(b"late", torch.zeros(1), 99.0, room=800)
    assert b"late" not in memory


def test_control_flow_is_always_computed(ran: list[str]) -> None:
    body = onnx.helper.make_graph([node("Mul", "x f", "inner")], "then", [], [value("inner")])
    nodes = [node("If", "c", "y", then_branch=body, else_branch=body)]
    file = model(nodes, ["x"], ["y"], {"c": np.array(True), "f": np.array([2], np.float32)})
    memory = Roomy()
    expected, _ = traced(file, memory)
    ran.clear()

    found, _ = traced(file, memory)

    assert "y" in ran
    np.testing.assert_array_equal(found, expected)
