"""Which rule of the specification holds for which output, and what it comes to for the output's dtype."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

import msgspec

from parity.errors import SpecError
from parity.measuring import default_bound
from parity.records.measurements import Tolerance

# What needs a difference of two values, which strings do not have.
_NUMERIC = (
    "atol",
    "rtol",
    "max_abs",
    "noise_factor",
    "mean_abs",
    "rms",
    "cosine",
    "snr_db",
    "ulp",
    "quantile",
)
# What an exact output keeps of its rule: what is compared with what.
_KEPT_WHEN_EXACT = (
    "pattern",
    "line",
    "column",
    "equal_nan",
    "dtype",
    "match",
    "axis",
    "together",
    "margin",
    "optional_below",
    "score_column",
)
# What is judged by itself, so that a rule that names it does not imply the bound on each element.
_AGGREGATE = tuple(key for key in _NUMERIC if key not in ("atol", "rtol"))


def resolve_tolerances(
    rules: tuple[Tolerance, ...], names: Iterable[str], spec_file: str, missing: Collection[str] = ()
) -> dict[str, Tolerance]:
    """The most specific rule of each output; those of `missing`, which have failed already, need none.

    A pattern that is the output's very name comes first; then more literal characters win, then fewer
    wildcards, then the later line of the specification. Patterns are those of `fnmatch`, case-sensitive.

    Raises:
        SpecError: an output has no rule, or a pattern matches no output.
    """
    names = list(names)
    for rule in rules:
        if not any(_matches(rule, name) for name in names):
            raise SpecError(
                f"the tolerance pattern {rule.pattern!r} matches no output",
                at=_place(rule, spec_file),
                fix=_nearest(rule.pattern, names),
            )
    found = {name: _rule_of(name, rules) for name in names}
    for name in names:
        if found[name] is None and name not in missing:
            raise SpecError(
                f"no tolerance pattern matches the output {name!r}",
                at=_place(rules[-1], spec_file) if rules else spec_file,
                fix=f"add a tolerance for {name!r}, or one for every output: '\"*\": {{}}' has the defaults",
            )
    return {name: rule for name, rule in found.items() if rule is not None}


def applied(rule: Tolerance, name: str, dtype: str, spec_file: str = "") -> Tolerance:
    """The rule as it applies to one output: defaults filled in, and exact where it has to be.

    - Integers, booleans and strings are exact, and nothing else of the rule counts, unless its pattern is
      the output's very name or it says ``exact: false``. Strings can then have ``mismatch`` alone.
    - The bound atol + rtol * |reference| applies when the rule gives atol or rtol, which leaves the other 0;
      when it gives ``mismatch``; or when it gives no criterion at all, argmax being one. Given neither atol
      nor rtol, both are the dtype's defaults.

    Raises:
        SpecError: the rule asks of an output of strings what needs numbers, or of one that is not rounded a
            multiple of its noise.
    """
    chosen = rule.pattern == name
    if dtype == "string":
        _reject_numbers(rule, name, chosen, spec_file)
        return _exact(rule) if rule.mismatch is None or not chosen else _bound(rule, 0.0, 0.0)
    if rule.exact or (_is_discrete(dtype) and not chosen and rule.exact is not False):
        return _exact(rule)
    if rule.noise_factor is not None and _is_discrete(dtype):
        raise SpecError(
            f"output {name!r} is {dtype}, which nothing rounds: it has no noise to take a multiple of",
            at=_place(rule, spec_file),
            fix="use exact, or mismatch for the share of elements that may differ, in place of noise_factor",
        )
    if rule.atol is not None or rule.rtol is not None:
        return _bound(rule, rule.atol or 0.0, rule.rtol or 0.0)
    if rule.mismatch is None and (
        rule.match == "argmax" or any(getattr(rule, key) not in (None, {}) for key in _AGGREGATE)
    ):
        return rule
    default = default_bound(dtype)
    return _bound(rule, default.atol, default.rtol)


def _exact(rule: Tolerance) -> Tolerance:
    kept = {name: getattr(rule, name) for name in _KEPT_WHEN_EXACT}
    return Tolerance(**kept, exact=True)


def _bound(rule: Tolerance, atol: float, rtol: float) -> Tolerance:
    return msgspec.structs.replace(rule, atol=atol, rtol=rtol)


def _is_discrete(dtype: str) -> bool:
    return dtype == "bool" or dtype.startswith(("int", "uint"))


def _reject_numbers(rule: Tolerance, name: str, chosen: bool, spec_file: str) -> None:
    numeric = [key for key in _NUMERIC if getattr(rule, key) not in (None, {})]
    if chosen and numeric:
        raise SpecError(
            f"output {name!r} holds strings, which have no {numeric[0]}",
            at=_place(rule, spec_file),
            fix="use exact, or mismatch for the share of elements that may differ",
        )


def _rule_of(name: str, rules: tuple[Tolerance, ...]) -> Tolerance | None:
    matching = [rule for rule in reversed(rules) if _matches(rule, name)]  # of equals, max takes the first
    return max(matching, key=lambda rule: _specificity(rule.pattern, name), default=None)


def _matches(rule: Tolerance, name: str) -> bool:
    # The name itself always matches: ONNX names may hold wildcards, as in "boxes[0]".
    return rule.pattern == name or fnmatchcase(name, rule.pattern)


def _specificity(pattern: str, name: str) -> tuple[bool, int, int]:
    literal, wildcards = _parts(pattern)
    return pattern == name, literal, -wildcards


def _parts(pattern: str) -> tuple[int, int]:
    """How many characters stand for themselves, and how many wildcards there are; [abc] is one."""
    literal = wildcards = at = 0
    while at < len(pattern):
        end = pattern.find("]", at + 2) if pattern[at] == "[" else -1
        if pattern[at] in "*?" or end > 0:
            wildcards += 1
        else:
            literal += 1
        at = max(at, end) + 1
    return literal, wildcards


def _nearest(pattern: str, names: list[str]) -> str:
    near = get_close_matches(pattern, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"the outputs are: {', '.join(map(repr, names)) or 'none'}"


def _place(rule: Tolerance, spec_file: str) -> str:
    return ":".join(str(part) for part in (spec_file, rule.line, rule.column) if part is not None)
