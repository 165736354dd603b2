"""Where an error starts and why, in words: the place, the causes with their evidence, what mends it.

The words hold texts of models as they are; each report makes them inert in its own way.
docs/error-budget.md tells the reader of a report what each of them means.
"""

from __future__ import annotations

from collections import Counter

from parity.records.diagnosis import Cause, Diagnosis, Divergence, Leg, Statistics

from . import figures
from .figures import counted

# What a cause's share is a part of.
OF_LEG: dict[Leg, str] = {
    "export": "the export error",
    "reference": "the reference rounding",
    "runtime": "the runtime error",
    "repeatability": "what does not repeat",
}

STATISTIC_DIGITS = 5  # expected and found are held against each other
MOST_FURTHER = 3  # causes after the first
_MOST_NOTES = 3
_NODE_LENGTH = 72  # characters of a node's name
_MUCH = 0.1  # share of a cause that has to be mended too
_SETTLED = 0.5  # share of a cause that leaves little to look for
_NO_FAULT = ("rounding", "unknown")

_Facts = list[tuple[str, str]]


def facts(diagnosis: Diagnosis) -> _Facts:
    """The place, the causes and what mends them, (name, text); a fact that does not apply has no text."""
    return [*_place_facts(diagnosis.first_divergence), *_cause_facts(diagnosis.causes)]


def note_facts(diagnosis: Diagnosis) -> _Facts:
    """What could not be looked into, the first few."""
    notes = list(dict.fromkeys(diagnosis.notes))
    rest = len(notes) - _MOST_NOTES
    told = [("note", note) for note in notes[:_MOST_NOTES]]
    return told + [("note", f"and {counted(rest, 'more note')}")] * (rest > 0)


def place(divergence: Divergence) -> str:
    """``backbone.blocks.1.4 (BatchNormalization, model.py:31)``; the node where no module is known."""
    name = divergence.module or shortened(divergence.node)
    about = ", ".join(part for part in (divergence.op_type, divergence.source) if part)
    return f"{name} ({about})" if about else name


def node(divergence: Divergence) -> str:
    """The node's own name, shortened; empty where `place` says it."""
    return shortened(divergence.node) if divergence.module else ""


def adds(divergence: Divergence) -> str:
    """``0.0312 on right inputs, inherits 2.10e-7, 10.8 effective bits (float32 keeps 21 to 24)``."""
    said = []
    if divergence.local_error is not None:
        said.append(f"{figures.number(divergence.local_error)} on right inputs")
    if divergence.inherited_error is not None:
        said.append(f"inherits {figures.number(divergence.inherited_error)}")
    if divergence.effective_bits is not None:
        bits = figures.number(divergence.effective_bits)
        said.append(f"{bits} effective bits (float32 keeps 21 to 24)")
    return ", ".join(said)


def reason(cause: Cause) -> str:
    """``epsilon is 2e-3 in the file, 1e-3 in the module (99.8 % of the export error)``."""
    part = share(cause)
    # The message of some probes ends in the figure.
    said = cause.share is not None and f"{100 * min(cause.share, 0.999):.1f}" in cause.message
    return f"{cause.message} ({part} of {OF_LEG[cause.leg]})" if part and not said else cause.message


def share(cause: Cause) -> str:
    """``99.8 %``; empty where it was not measured."""
    if cause.share is None:
        return ""
    part = min(max(cause.share, 0.0), 1.0)  # a file may be forged
    return figures.percent(part, 1.0 - part)


def worth_a_line(diagnosis: Diagnosis) -> str:
    """The first cause of an output within tolerance, if it is one that could be mended; else empty."""
    first = next(iter(diagnosis.causes), None)
    if first is None or first.kind in _NO_FAULT or (first.share is not None and first.share < _MUCH):
        return ""
    return reason(first)


def is_settled(diagnosis: Diagnosis) -> bool:
    """Whether the first cause leaves little to look for."""
    first = next(iter(diagnosis.causes), None)
    return first is not None and first.kind != "unknown" and (first.share is None or first.share >= _SETTLED)


def is_good_news(diagnosis: Diagnosis) -> bool:
    """Whether it is rounding: nothing is wrong with model, file or runtime."""
    return bool(diagnosis.causes) and diagnosis.causes[0].kind == "rounding"


def statistics(values: Statistics | None) -> str:
    """``min -3.1042, max 4.2718, mean 0.012103, std 0.99812``; empty: not measured."""
    if values is None:
        return ""
    said = [
        f"{name} {figures.number(value, STATISTIC_DIGITS)}"
        for name, value in (
            ("min", values.minimum),
            ("max", values.maximum),
            ("mean", values.mean),
            ("std", values.std),
        )
    ]
    return ", ".join([*said, *([f"{values.nonfinite:,} not finite"] if values.nonfinite else [])])


def shortened(name: str, most: int = _NODE_LENGTH) -> str:
    """A name in at most `most` characters, the middle left out: both ends of a node's name tell."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most // 2) :]}"


def _place_facts(divergence: Divergence | None) -> _Facts:
    if divergence is None:
        return []
    return [
        ("starts at", place(divergence)),
        ("node", node(divergence)),
        ("adds", adds(divergence)),
    ]


def _cause_facts(causes: tuple[Cause, ...]) -> _Facts:
    """The first cause, the next ones, and a remedy of each that matters."""
    if not causes:
        return []
    alike = Counter(reason(cause) for cause in causes)  # one for each node, and only the nodes differ
    told = [f"{text}, at {count:,} nodes" if count > 1 else text for text, count in alike.items()]
    rest = len(told) - 1 - MOST_FURTHER
    further = [("also", text) for text in told[1 : 1 + MOST_FURTHER]]
    much = [cause for cause in causes[1 : 1 + MOST_FURTHER] if (cause.share or 0.0) >= _MUCH]
    remedies = dict.fromkeys(cause.remedy for cause in (causes[0], *much))
    return [
        ("because", told[0]),
        *further,
        ("also", f"and {rest:,} more" if rest > 0 else ""),
        *(("mend", remedy) for remedy in remedies),
    ]
