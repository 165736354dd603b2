"""Square matrices that lie the other way: in these alone the values don't tell a transposed weight."""

from __future__ import annotations

from collections.abc import Mapping

from .candidates import Checkpoint
from .findings import Finding, differing
from .folding import output_axis
from .layouts import same
from .tensors import FileTensor


def turned(pairs: list[tuple[FileTensor, Finding]], checkpoint: Checkpoint) -> tuple[Finding, ...]:
    """Square matrices that lie the other way than all that are used as they are: these are altered.

    Exporters fold the transpose of a linear layer into its weight, which then has a name of its own. One
    weight of many that is not transposed, or is alone in being so, was turned.
    """
    ways: dict[tuple[str, int, int], dict[str, int]] = {}
    for tensor, finding in pairs:
        for key in _keys(tensor, checkpoint):
            of = ways.setdefault(key, {})
            of[finding.relation] = of.get(finding.relation, 0) + 1
    return tuple(_turn(tensor, finding, ways, checkpoint) for tensor, finding in pairs)


def _turn(
    tensor: FileTensor,
    finding: Finding,
    ways: Mapping[tuple[str, int, int], Mapping[str, int]],
    checkpoint: Checkpoint,
) -> Finding:
    other = {"equal": "transposed", "transposed": "equal"}.get(finding.relation)
    candidate = checkpoint.by_name.get(finding.parameter)
    if other is None or candidate is None or len(set(candidate.value.shape)) != 1:
        return finding
    for key in _keys(tensor, checkpoint):
        if ways[key].get(other, 0) >= 2 and ways[key].get(finding.relation, 0) == 1:
            found = tensor.read()
            expected = candidate.value.T if finding.relation == "equal" else candidate.value
            return finding if same(found, expected) else differing(tensor, found, candidate.name, expected)
    return finding


def _keys(tensor: FileTensor, checkpoint: Checkpoint) -> set[tuple[str, int, int]]:
    """The kinds of use of a matrix that did not keep its name."""
    if len(tensor.shape) != 2 or checkpoint.named(tensor.name) is not None:
        return set()
    uses = ((use.node.op_type, use.slot, output_axis(use.node)) for use in tensor.uses)
    return {each for each in uses if each[:2] in (("MatMul", 1), ("Gemm", 1))}
