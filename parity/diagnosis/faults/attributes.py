"""Faults in attributes of operators: another epsilon, axis, mode, shift."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, ClassVar

from onnx import NodeProto

from .dilation import Dilation
from .graph import Graph, attribute, set_attribute
from .planting import CauseKind, Edit, Fault, Site, at

_POOLS = ("MaxPool", "AveragePool", "LpPool")


class AttributeFault(Fault):
    """One attribute has another value; each kind says of which operators, and which value.

    `attributes` has the operators with the attribute that is altered and its default.
    """

    cause_kind: ClassVar[CauseKind] = "attribute"
    attributes: ClassVar[dict[str, tuple[str, Any]]]

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type in self.attributes:
                before = attribute(node, *self.attributes[node.op_type])
                for choice, _ in enumerate(self.values(graph, node, before)):
                    yield at(position, node, choice=(choice,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        name, default = self.attributes[node.op_type]
        before = attribute(node, name, default)
        after = self.values(graph, node, before)[site.choice[0]]
        set_attribute(node, name, after)
        return Edit([node], f"{name} is {_shown(after)} in the file, {_shown(before)} in the module")

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:
        """The wrong values that the attribute may have; empty when the fault does not apply."""
        raise NotImplementedError


class BatchNormEpsilon(AttributeFault):
    name = "batchnorm-epsilon"
    attributes = {"BatchNormalization": ("epsilon", 1e-5)}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return [1e-3 if before < 5e-4 else 2 * before]


class NormEpsilon(AttributeFault):
    name = "norm-epsilon"
    attributes = {
        "LayerNormalization": ("epsilon", 1e-5),
        "InstanceNormalization": ("epsilon", 1e-5),
        "GroupNormalization": ("epsilon", 1e-5),
        "RMSNormalization": ("epsilon", 1e-5),
    }

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return [1e-3 if before < 5e-4 else 2 * before]


class PadsShifted(AttributeFault):
    """One pixel less before, one more behind: the size stays, everything moves."""

    name = "pads-shifted"
    attributes = {op: ("pads", []) for op in ("Conv", "ConvTranspose", *_POOLS)}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        rank = len(before) // 2
        kernel = attribute(node, "kernel_shape", None)
        found = []
        for axis in range(rank):
            begin, end = before[axis], before[rank + axis]
            # A pool must not look at padding alone.
            if begin > 0 and (node.op_type not in _POOLS or end + 1 < kernel[axis]):
                pads = list(before)
                pads[axis], pads[rank + axis] = begin - 1, end + 1
                found.append(pads)
        return found


class Slope(AttributeFault):
    name = "slope"
    attributes = {
        "LeakyRelu": ("alpha", 0.01),
        "Elu": ("alpha", 1.0),
        "Celu": ("alpha", 1.0),
        "ThresholdedRelu": ("alpha", 1.0),
        "HardSigmoid": ("alpha", 0.2),
    }

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return [2 * before]


class GeluApproximation(AttributeFault):
    name = "gelu-approximation"
    attributes = {"Gelu": ("approximate", "none")}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return ["tanh" if before == "none" else "none"]


class SoftmaxAxis(AttributeFault):
    name = "softmax-axis"
    attributes = {"Softmax": ("axis", -1), "LogSoftmax": ("axis", -1)}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:
        shape = graph.shape(node.input[0]) or ()
        return [axis for axis in range(len(shape)) if shape[axis] > 1 and axis != before % len(shape)]


class ResizeMode(AttributeFault):
    name = "resize-mode"
    attributes = {"Resize": ("mode", "nearest")}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return ["linear" if before == "nearest" else "nearest"]


class ResizeCoordinates(AttributeFault):
    name = "resize-coordinates"
    attributes = {"Resize": ("coordinate_transformation_mode", "half_pixel")}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return ["half_pixel" if before in ("asymmetric", "align_corners") else "asymmetric"]


class PoolCountIncludePad(AttributeFault):
    name = "pool-count-include-pad"
    attributes = {"AveragePool": ("count_include_pad", 0)}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return [1 - before] if any(attribute(node, "pads", [])) else []


class TransposePerm(AttributeFault):
    """Two axes of one size are taken for each other."""

    name = "transpose-perm"
    attributes = {"Transpose": ("perm", [])}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:
        shape = graph.shape(node.input[0]) or ()
        found = []
        for i, j in combinations(range(len(before)), 2):
            if shape and shape[before[i]] == shape[before[j]] > 1:
                perm = list(before)
                perm[i], perm[j] = perm[j], perm[i]
                found.append(perm)
        return found


class GridAlignCorners(AttributeFault):
    name = "grid-align-corners"
    attributes = {"GridSample": ("align_corners", 0), "AffineGrid": ("align_corners", 0)}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return [1 - before]


class DepthToSpaceMode(AttributeFault):
    name = "depth-to-space-mode"
    attributes = {"DepthToSpace": ("mode", "DCR")}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return ["DCR" if before == "CRD" else "CRD"]


class GruLinearBeforeReset(AttributeFault):
    """The two definitions of a GRU: PyTorch resets after the product, the paper before."""

    name = "gru-linear-before-reset"
    attributes = {"GRU": ("linear_before_reset", 0)}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return [1 - before]


class PadMode(AttributeFault):
    name = "pad-mode"
    attributes = {"Pad": ("mode", "constant")}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return ["constant" if before == "edge" else "edge"]


class TopKLargest(AttributeFault):
    name = "topk-largest"
    attributes = {"TopK": ("largest", 1)}

    def values(self, graph: Graph, node: NodeProto, before: Any) -> list[Any]:  # noqa: ARG002
        return [1 - before]


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


ATTRIBUTE_FAULTS: tuple[type[Fault], ...] = (
    BatchNormEpsilon,
    NormEpsilon,
    PadsShifted,
    Dilation,
    Slope,
    GeluApproximation,
    SoftmaxAxis,
    ResizeMode,
    ResizeCoordinates,
    PoolCountIncludePad,
    TransposePerm,
    GridAlignCorners,
    DepthToSpaceMode,
    GruLinearBeforeReset,
    PadMode,
    TopKLargest,
)
