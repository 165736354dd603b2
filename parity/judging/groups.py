"""Which outputs are matched, with which others, and by what: the rules of a specification, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from parity.errors import SpecError
from parity.records.matching import MatchGroup, MatchMember
from parity.records.measurements import Tolerance


def match_groups(
    tolerances: Mapping[str, Tolerance], names: Iterable[str], spec_file: str = ""
) -> tuple[MatchGroup, ...]:
    """One group for each output whose tolerance matches; its first member is that output.

    Args:
        tolerances: as applied, of the outputs that have a dtype in common on both sides.
        names: of all outputs.
        spec_file: for errors.

    Raises:
        SpecError: a group has an output that is not there, or is matched otherwise; or rows have no bound.
    """
    names = list(names)
    owners: dict[str, str] = {}
    groups: list[MatchGroup] = []
    for name, rule in tolerances.items():
        if rule.match is None:
            continue
        for other in rule.together:
            _check_member(name, rule, other, names, tolerances.get(other), spec_file)
        for member in (name, *rule.together):
            if member in owners:
                problem = f"{member!r} is matched both with {owners[member]!r} and with {name!r}"
                raise SpecError(problem, at=_place(rule, spec_file), fix="name it in one `together` only")
            owners[member] = name
        members = tuple(_member(each, tolerances.get(each)) for each in (name, *rule.together))
        if rule.match in ("rows", "topk") and members[0].atol is None:
            problem = f"{name!r} is matched by a bound on each element, and its tolerance has none"
            raise SpecError(problem, at=_place(rule, spec_file), fix="add an atol")
        groups.append(MatchGroup(kind=rule.match, members=members, axis=rule.axis))
    for name, rule in tolerances.items():
        if rule.optional_below is not None and name not in owners:
            problem = f"{name!r} has optional_below, and its rows are not matched"
            raise SpecError(
                problem,
                at=_place(rule, spec_file),
                fix="name it in the `together` of an output with match: rows",
            )
        if rule.noise_factor is not None and name in owners and tolerances[owners[name]].match != "argmax":
            problem = (
                f"{name!r} is matched, and its noise floor would be that of another order of its elements"
            )
            raise SpecError(
                problem, at=_place(rule, spec_file), fix="give it an atol in place of noise_factor"
            )
    return tuple(groups)


def _check_member(
    leader: str, rule: Tolerance, name: str, names: list[str], own: Tolerance | None, spec_file: str
) -> None:
    at = _place(rule, spec_file)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"the outputs are: {', '.join(map(repr, names))}"
        raise SpecError(f"{leader!r} is to be matched with {name!r}, which is no output", at=at, fix=fix)
    if own is not None and own.match is not None and own.pattern != rule.pattern:
        fix = f"leave `match` out of the tolerance of {name!r}"
        raise SpecError(f"{name!r} goes with {leader!r} and has a match of its own", at=at, fix=fix)


def _member(name: str, rule: Tolerance | None) -> MatchMember:
    """With the bound that tells which elements may be the same: atol and rtol, or else max_abs."""
    if rule is None:
        return MatchMember(output=name)
    atol, rtol = rule.atol, rule.rtol
    if rule.exact:
        atol, rtol = 0.0, 0.0
    elif atol is None and rtol is None:
        atol = rule.max_abs
    return MatchMember(
        output=name,
        atol=None if atol is None and rtol is None else atol or 0.0,
        rtol=None if atol is None and rtol is None else rtol or 0.0,
        equal_nan=rule.equal_nan,
    )


def _place(rule: Tolerance, spec_file: str) -> str:
    return ":".join(str(part) for part in (spec_file, rule.line, rule.column) if part is not None)
