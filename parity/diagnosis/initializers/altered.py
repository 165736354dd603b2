"""The parameter that a constant should be and is not: by its name, its values or its place."""

from __future__ import annotations

from collections.abc import Set

from parity.artifacts import Array

from .candidates import Candidate, signature
from .findings import Finding, differing, sound
from .layouts import layouts, near
from .nearest import SIGNIFICANT, Likeness, clearly_nearest, computed_from, likenesses, parametrized
from .tensors import FileTensor


def differing_from(tensor: FileTensor, found: Array, named: Candidate) -> Finding:
    """A constant that has the name of a parameter, and its size, is that one altered."""
    expected = next(value for _, value in layouts(named.value, tensor.shape))
    return differing(tensor, found, named.name, expected)


def find_altered(
    tensor: FileTensor, found: Array, candidates: list[Candidate], taken: Set[str]
) -> Finding | None:
    """The parameter that a constant without a name is most like, or that its place calls for.

    Args:
        tensor: of the file.
        found: its values.
        candidates: parameters of its size that its nodes can take.
        taken: names of parameters that other constants are.
    """
    free = [each for each in candidates if each.name not in taken]
    modules = {use.module for use in tensor.uses} - {""}
    close = [each for each in free if each.module in modules]
    for group, significant in ((close, SIGNIFICANT / 2), (free, SIGNIFICANT), (candidates, SIGNIFICANT)):
        ranked = likenesses(found, group, significant)
        best = clearly_nearest(ranked) or _same_elements(found, group)
        if best is None:
            continue
        finding = differing(tensor, found, best.candidate.name, best.expected, best.candidate.gates)
        coarse = finding.description is not None and finding.description.kind == "precision"
        own = best.equal >= 0.3 or best.candidate.operator  # no function of the parameter
        computed = parametrized(best.candidate.name) or computed_from(found, best.expected)
        if computed and not coarse and not own:
            return sound(tensor, best.candidate.name, "scaled")
        return finding
    return _by_place(tensor, found, _hinted(tensor, free))


def _hinted(tensor: FileTensor, free: list[Candidate]) -> list[Candidate]:
    """Those of the module that the node is of."""
    modules = {use.module for use in tensor.uses if use.parametric} - {""}
    return [each for each in free if each.module in modules]


def _by_place(tensor: FileTensor, found: Array, hinted: list[Candidate]) -> Finding | None:
    """Values say nothing: the one parameter that the node's module has for this input."""
    fitting = [
        (each, value)
        for each in hinted
        for kind, value in reversed(list(layouts(each.value, tensor.shape)))
        if kind != "reshaped" or _squeezed(each.value.shape) == _squeezed(tensor.shape)
    ]
    names = {each.name for each, _ in fitting}
    if len(names) != 1:
        return None
    candidate, expected = fitting[0]
    return differing(tensor, found, candidate.name, expected, candidate.gates)


def _same_elements(found: Array, candidates: list[Candidate]) -> Likeness | None:
    """A recurrent weight whose elements are all there, in another order."""
    for candidate in candidates:
        if candidate.operator and near(signature(found), candidate.signature, found):
            return Likeness(candidate, "altered", candidate.value, 1.0, 0.0)
    return None


def _squeezed(shape: tuple[int, ...]) -> list[int]:
    return [each for each in shape if each != 1]
