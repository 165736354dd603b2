"""Every floating constant of an ONNX file, looked up by value in the checkpoint.

What is equal in some layout is found first; then slices and stacks, folded norms, and last, for what remains,
the parameter that the name, the node's module or the values point to: such a tensor is altered. What nothing
points to stays unknown: forward makes masks, tables and numbers of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import ModelProto
from torch import Tensor

from parity.artifacts import Array

from .altered import differing_from, find_altered
from .candidates import Candidate, Checkpoint, signature
from .findings import Finding, differing, judged, sound
from .folding import COMMON_EPS, Folded, find_folded, norms, output_axis
from .layouts import layouts, narrowed, near, same
from .partial import find_slice, find_stack
from .tensors import FileTensor, Use, file_tensors
from .turning import turned

HANDFUL = 8
"""With fewer elements a constant is looked up only where the file says that it is a parameter."""

_RECURRENT = ("LSTM", "GRU", "RNN")
_FOLDABLE = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def look_up(model: ModelProto, folder: str, state: Mapping[str, Tensor]) -> tuple[Finding, ...]:
    """Where every floating initializer and Constant tensor comes from, in the file's order.

    Args:
        model: with or without its external data loaded.
        folder: where the external data are.
        state: parameters and buffers of the module by name, those that are not persistent too.

    Raises:
        OSError: external data can't be read.
    """
    everything = list(file_tensors(model, folder))
    search = _Search(Checkpoint(state), {each.name: each for each in everything})
    tensors = [each for each in everything if search.concerns(each)]
    found = {id(each): search.exact(each) for each in tensors}
    search.note_exact(found.values())
    rest = [each for each in tensors if found[id(each)] is None]
    # The weight first: what its bias should be follows from the norm that is in it.
    for each in sorted(rest, key=lambda tensor: len(tensor.shape) < 2):
        found[id(each)] = search.inexact(each)
    answers = [found[id(each)] or Finding(each.name, each.labels) for each in tensors]
    return turned([*zip(tensors, answers, strict=True)], search.checkpoint)


@dataclass
class _Search:
    """One checkpoint, what of it is found already, and the norms found in layers."""

    checkpoint: Checkpoint
    tensors: Mapping[str, FileTensor]
    taken: set[str] = field(default_factory=set)
    folded: dict[str, Folded] = field(default_factory=dict)  # by the label of the layer

    def __post_init__(self) -> None:
        self.norms = norms(self.checkpoint.by_name)
        self.places = {name: place for place, name in enumerate(self.checkpoint.by_name)}

    def concerns(self, tensor: FileTensor) -> bool:
        """Whether a constant may be a parameter at all."""
        if tensor.size == 0:
            return False
        parametric = bool(tensor.shape) and any(use.parametric for use in tensor.uses)
        return tensor.size >= HANDFUL or parametric or self.checkpoint.named(tensor.name) is not None

    def note_exact(self, findings: object) -> None:
        """Parameters that one constant is already are less likely to be another one."""
        assert hasattr(findings, "__iter__")
        self.taken.update(each.parameter for each in findings if each is not None)

    def candidates(self, tensor: FileTensor) -> list[Candidate]:
        """All of this size that the tensor's nodes can take."""
        operators = {(use.node.op_type, use.slot) for use in tensor.uses}
        recurrent = any(op in _RECURRENT and slot in (1, 2, 3) for op, slot in operators)
        sized = self.checkpoint.of_size(tensor.size)
        return [
            each
            for each in sized
            if ((each.operator, each.slot) in operators if recurrent else not each.operator)
        ]

    # --- exactly

    def exact(self, tensor: FileTensor) -> Finding | None:
        """The parameter that a constant is in some layout; best the one that its name or its node says."""
        found = tensor.read()
        own = signature(found)
        likely = [each for each in self.candidates(tensor) if near(own, each.signature, found)]
        named = self.checkpoint.named(tensor.name)
        modules = {use.module for use in tensor.uses}
        likely.sort(key=lambda each: (each is not named, each.module not in modules))
        for candidate in likely:
            for relation, value in layouts(candidate.value, tensor.shape):
                if same(found, value):
                    return self._is(tensor, found, candidate, relation)
        return None

    def _is(self, tensor: FileTensor, found: Array, candidate: Candidate, relation: str) -> Finding:
        named = self.checkpoint.named(tensor.name)
        if named is not None and named.value.shape == tensor.shape:
            # A tensor that kept its name is the parameter as it is, unless a norm was folded into it.
            if relation == "transposed":
                return differing(tensor, found, named.name, named.value)
            if named is not candidate and _varies(found):
                finding = differing(tensor, found, named.name, named.value)
                assert finding.description is not None
                message = f"is {candidate.name} of the checkpoint"
                return replace(finding, description=replace(finding.description, message=message))
        how = "permuted" if candidate.operator else relation
        if how == "equal" and narrowed(candidate.value, found):
            how = "cast"
        return sound(tensor, candidate.name, how)

    # --- not exactly

    def inexact(self, tensor: FileTensor) -> Finding | None:
        """A slice, a stack, a folded norm, or altered."""
        found = tensor.read()
        named = self.checkpoint.named(tensor.name)
        if named is not None and named.value.size != tensor.size:
            named = None
        if named is None and (finding := self._partial(tensor, found)):
            return finding
        folded = self._folded(tensor, found)
        if folded is not None and folded.relation == "folded":
            return folded
        plain = (
            differing_from(tensor, found, named)
            if named is not None
            else find_altered(tensor, found, self.candidates(tensor), self.taken)
        )
        if folded is None or plain is None:
            return plain or folded
        if plain.relation != "altered":
            return folded if self._steady(tensor) else plain
        return min(folded, plain, key=lambda each: _distance(found, each.expected))

    def _steady(self, tensor: FileTensor) -> bool:
        """Whether the weight's channels have the scales of a norm, but for a factor."""
        folds = [self.folded[use.label] for use in tensor.uses if use.label in self.folded]
        return any(each.steady > 0.5 for each in folds)

    def _partial(self, tensor: FileTensor, found: Array) -> Finding | None:
        if tensor.size < HANDFUL or not _varies(found):
            return None
        plain = self.checkpoint.plain
        name = find_slice(found, plain) or find_stack(found, plain)
        return sound(tensor, name, "split") if name else None

    def _folded(self, tensor: FileTensor, found: Array) -> Finding | None:
        for use in tensor.uses:
            if use.node.op_type in _FOLDABLE and self.norms:
                finding = (
                    self._folded_weight(tensor, found, use)
                    if use.slot == 1
                    else self._folded_bias(tensor, found, use)
                    if use.slot == 2
                    else None
                )
                if finding is not None:
                    return finding
        return None

    def _folded_weight(self, tensor: FileTensor, found: Array, use: Use) -> Finding | None:
        if found.ndim < 2:
            return None
        named = self.checkpoint.named(tensor.name)
        candidates = self.candidates(tensor)
        hinted = [each for each in candidates if each is named or each.module == use.module]
        free = [each for each in candidates if each.name not in self.taken]
        for group in (hinted, free):
            folded = find_folded(found, use.node, group, self.norms, self.places)
            if folded is None:
                continue
            if folded.exact <= 0.5:
                folded = self._settled(folded, use)
            finding = judged(tensor, found, f"{folded.weight.name}, {folded.norm.name}", folded.expected)
            if finding.relation == "folded" or folded.exact > 0 or group is hinted:
                self.folded[use.label] = folded
                return finding
        return None

    def _settled(self, folded: Folded, use: Use) -> Folded:
        """The weight does not tell the eps of its norm; the bias may, or another norm of the file."""
        tensor = self.tensors.get(use.node.input[2]) if len(use.node.input) > 2 else None
        axis = output_axis(use.node)
        usual = [each.eps for each in self.folded.values() if each.exact > 0.5]
        if tensor is not None and tensor.size == folded.norm.mean.size:
            found = tensor.read().reshape(-1)
            for eps in (*usual, *COMMON_EPS):
                other = folded.with_eps(eps, axis)
                if np.mean(np.isclose(found, other.bias(self.checkpoint.by_name), 2e-6, 1e-6)) > 0.5:
                    return other
        return folded.with_eps(usual[0], axis) if usual else folded

    def _folded_bias(self, tensor: FileTensor, found: Array, use: Use) -> Finding | None:
        folded = self.folded.get(use.label)
        if folded is None:
            return None
        expected = folded.bias(self.checkpoint.by_name)
        if expected.shape != found.shape:
            return None
        return judged(tensor, found, f"{folded.weight.module}.bias, {folded.norm.name}".lstrip("."), expected)


def _varies(value: Array) -> bool:
    return bool(np.any(value != value.flat[0]))


def _distance(found: Array, expected: Array | None) -> tuple[float, float]:
    """How far a constant is from what it may have been: elements that differ, then their size."""
    if expected is None:
        return np.inf, np.inf
    one, other = found.astype(np.float64), expected.astype(np.float64)
    apart = np.nan_to_num(np.abs(one - other), posinf=0.0)
    size = float(np.sqrt(np.mean(np.square(other))))
    return float(np.median(apart)), size
