"""Faults of precision: casts where the module has none, constants that were folded too coarsely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import ml_dtypes
import numpy as np
from onnx import NodeProto, TensorProto, helper

from .constants import Array
from .graph import Graph
from .planting import CauseKind, Edit, Fault, Site, at
from .weights import WeightFault


class RoundTrip(Fault):
    """A tensor is cast to another type and back on its way to all who take it."""

    cause_kind: ClassVar[CauseKind] = "precision"
    through: ClassVar[int]  # a TensorProto.DataType

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            name = node.output[0]
            if graph.element_type(name) == TensorProto.FLOAT and graph.consumers[name]:
                yield at(position, node, name)

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        source = node.output[0]
        down, up = graph.fresh(f"{source}_down"), graph.fresh(f"{source}_up")
        casts = [
            helper.make_node("Cast", [source], [down], name=down, to=self.through),
            helper.make_node("Cast", [down], [up], name=up, to=TensorProto.FLOAT),
        ]
        graph.redirect(source, up)
        graph.insert(site.position + 1, casts)
        kind = TensorProto.DataType.Name(self.through).lower()
        inserted = list(graph.nodes[site.position + 1 : site.position + 3])
        return Edit(inserted, f"{source} is cast to {kind} and back, which the module does not", source)


class Float16RoundTrip(RoundTrip):
    name = "float16-round-trip"
    through = TensorProto.FLOAT16


class BFloat16RoundTrip(RoundTrip):
    name = "bfloat16-round-trip"
    through = TensorProto.BFLOAT16


class CastTruncation(RoundTrip):
    """A float becomes an integer on its way: all that is behind the point is lost."""

    name = "cast-truncation"
    through = TensorProto.INT32


class CoarseConstant(WeightFault):
    """A weight holds only what a narrower type can."""

    cause_kind: ClassVar[CauseKind] = "precision"
    narrow: ClassVar[Any]

    def applies(self, node: NodeProto, value: Array) -> bool:  # noqa: ARG002
        return not np.array_equal(value.astype(self.narrow).astype(value.dtype), value)

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:  # noqa: ARG002
        return value.astype(self.narrow).astype(
            np.float64
        ), f"is the module's rounded to {np.dtype(self.narrow).name}"


class Float16Constant(CoarseConstant):
    name = "float16-constant"
    narrow = np.float16


class BFloat16Constant(CoarseConstant):
    name = "bfloat16-constant"
    narrow = ml_dtypes.bfloat16


class Int8Constant(WeightFault):
    """A weight was quantized to 8 bits with one scale, and written back as floats."""

    name = "int8-constant"
    cause_kind = "precision"

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:  # noqa: ARG002
        scale = np.abs(value).max() / 127
        return np.round(value / scale) * scale, "is the module's rounded to 8 bits of its greatest element"


PRECISION_FAULTS: tuple[type[Fault], ...] = (
    Float16RoundTrip,
    BFloat16RoundTrip,
    CastTruncation,
    Float16Constant,
    BFloat16Constant,
    Int8Constant,
)
