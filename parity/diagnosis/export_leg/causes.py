"""What is wrong in the file, in the terms of a report: cause, place, and the line that mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from parity.diagnosis.graphs.comparing import Change
from parity.diagnosis.initializers.findings import Finding
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause, CauseKind

from .finding import Spot
from .inner import InnerNode
from .mending import Start, Unit

STALE = "export again: the file is older than the module, or was altered since"
OTHER_WEIGHTS = "export again with the current checkpoint"
LOADED_LATE = "load the checkpoint before the export, and let nothing change the weights behind it"
OTHER_EXAMPLE = (
    "the gate made this file with another input: what the forward decides by its input has to be decided "
    "by tensor operators"
)
ROUNDED = "give the outputs a tolerance for it, or ship the file without the conversion"
NAN = "export again: the file holds numbers that are none"
TRAINING = "call eval() on the module, and on what wraps it, before the export"

_PREDICATES = ("is ", "has ", "takes ", "gives ")
_FEW = 4  # causes that are named and measured one by one: each evaluation costs several forwards


def remedy(kind: CauseKind, *, made_here: bool) -> str:
    """What mends a file with a cause of this kind; one that the gate made is not older than the module."""
    if kind in ("precision", "nan", "train-mode"):
        return {"precision": ROUNDED, "nan": NAN, "train-mode": TRAINING}[kind]
    if kind == "initializer":
        return LOADED_LATE if made_here else OTHER_WEIGHTS
    return OTHER_EXAMPLE if made_here else STALE


def of_changes(
    changes: Sequence[Change], parameters: Mapping[str, str], summary: str | None, *, made_here: bool
) -> tuple[Unit, ...]:
    """Changes since a fresh export, alike ones as one; all of them, or of the weights, where there are many.

    Args:
        changes: in the order of the file.
        parameters: initializer -> the module's parameter that it is.
        summary: one sentence, where much of the file is another checkpoint's.
        made_here: whether the gate made the file.
    """
    held = [each for each in changes if kind_of(each) in ("initializer", "precision") and each.tensor]
    pooled: list[Unit] = []
    if len(held) > _FEW or (summary is not None and len(held) > 2):
        head = summary or f"{len(held)} initializers are not those of the checkpoint"
        pooled = [_unit(held, f"{head}; the first: ", parameters, made_here)]
        changes = [each for each in changes if each not in held]
    alike = _alike(changes)
    if len(alike) + len(pooled) > _FEW:
        kinds = Counter(map(kind_of, changes))
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        head = f"{len(changes)} changes since the export ({listed}); the first: "
        return (*pooled, _unit(changes, head, parameters, made_here))
    return (*pooled, *(_unit(each, "", parameters, made_here, of_all=True) for each in alike))


def _alike(changes: Sequence[Change]) -> list[list[Change]]:
    """A model's layers change together: groups of one operator and one message, in the order of the file."""
    groups: dict[tuple[str, str, str], list[Change]] = {}
    for change in changes:
        groups.setdefault((kind_of(change), change.op_type, change.message), []).append(change)
    return list(groups.values())


def _unit(
    changes: Sequence[Change],
    head: str,
    parameters: Mapping[str, str],
    made_here: bool,
    *,
    of_all: bool = False,
) -> Unit:
    """`of_all`: what is said of the first one is true of all."""
    first = changes[0]
    kind = Counter(map(kind_of, changes)).most_common(1)[0][0]
    cause = Cause(
        kind=kind,
        leg="export",
        message=head
        + _sentence(_named(first, parameters.get(first.tensor, "")), len(changes) if of_all else 1),
        remedy=remedy(kind, made_here=made_here),
        node=first.node,
        tensor=first.tensor,
    )
    starts = (Start(Spot(each.node, each.op_type, each.output), each.outputs) for each in changes)
    return Unit(cause, tuple(changes), tuple(starts))


def _sentence(message: str, count: int) -> str:
    """What differs, of one node or of each of several; many messages begin with what the node does."""
    of_the_node = message.startswith(_PREDICATES)
    if count == 1:
        return f"the node {message}" if of_the_node else message
    return f"each of {count} nodes {message}" if of_the_node else f"at each of {count} nodes, {message}"


def kind_of(change: Change) -> CauseKind:
    """The kind of cause that a change is."""
    trains = change.op_type in ("Dropout", "BatchNormalization") and "training_mode" in change.message
    return "train-mode" if trains else change.kind


def _named(change: Change, parameter: str) -> str:
    """The message with the module's own name of a constant that the exporter calls onnx::Conv_123."""
    if not parameter or change.tensor in parameter.split(", "):
        return change.message
    if change.message.startswith(f"{change.tensor} "):
        return f"{parameter} ({change.tensor}){change.message[len(change.tensor) :]}"
    return f"{change.message} ({parameter})"


def of_findings(
    findings: Sequence[Finding],
    summary: str | None,
    graph: Trace,
    inner: Mapping[str, InnerNode],
    *,
    made_here: bool,
) -> tuple[Unit, ...]:
    """Initializers that are not the checkpoint's, each by itself where they are few, else as one.

    Args:
        findings: all of them altered.
        summary: one sentence, where much of the file is another checkpoint's.
        graph: the trace of the file, which tells who takes them.
        inner: nodes that it does not show.
        made_here: whether the gate made the file.
    """
    if summary is None and len(findings) <= _FEW:
        return tuple(_of_findings([each], "", _readers([each], graph, inner), made_here) for each in findings)
    head = summary or f"{len(findings)} initializers are not those of the checkpoint"
    starts = _readers(findings, graph, inner)
    return (_of_findings(findings, f"{head}; the first: ", starts, made_here),)


def _of_findings(findings: Sequence[Finding], head: str, starts: tuple[Start, ...], made_here: bool) -> Unit:
    kinds = [each.description.kind for each in findings if each.description is not None]
    kind: CauseKind = Counter(kinds).most_common(1)[0][0]
    first = next((each for each in findings if starts and starts[0].spot.node in each.nodes), findings[0])
    assert first.description is not None
    own = first.name in first.parameter.split(", ")
    named = first.name if own else f"{first.parameter} ({first.name})"
    cause = Cause(
        kind=kind,
        leg="export",
        message=f"{head}{named} {first.description.message}",
        remedy=remedy(kind, made_here=made_here),
        node=starts[0].spot.node if starts else next(iter(first.nodes), ""),
        tensor=first.name,
    )
    return Unit(cause, tuple(findings), starts)


def _readers(findings: Sequence[Finding], graph: Trace, inner: Mapping[str, InnerNode]) -> tuple[Start, ...]:
    """The nodes that take these initializers, in the order of the file."""
    nodes = {node for finding in findings for node in finding.nodes}
    around: dict[str, InnerNode] = {}
    for each in inner.values():
        if each.node in nodes:
            around.setdefault(each.around, each)
    starts = []
    for op in graph.ops:
        output = next((graph.tensors[index].name for index in op.outputs if index is not None), "")
        if op.node in nodes:
            spot = Spot(op.node, op.op_type, output)
        elif op.node in around:
            within = around[op.node]
            spot = Spot(within.node, within.op_type, within.output)
        else:
            continue
        starts.append(Start(spot, reached(graph, op.index)))
    return tuple(starts)


def reached(graph: Trace, op: int) -> frozenset[str]:
    """The graph's outputs that depend on an operator."""
    seen, waiting = {op}, [op]
    given: set[int] = set()
    while waiting:
        for index in graph.ops[waiting.pop()].outputs:
            if index is None:
                continue
            given.add(index)
            users = [user.index for user in graph.consumers[index] if user.index not in seen]
            seen.update(users)
            waiting += users
    return frozenset(name for name, index in graph.outputs.items() if index in given)
