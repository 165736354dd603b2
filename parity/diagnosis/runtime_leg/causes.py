"""What was measured -> what a user reads: the cause, and the one line that mends it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnx import NodeProto

from parity.diagnosis.precision import Format
from parity.diagnosis.runtime_leg.backend import LEVELS
from parity.diagnosis.runtime_leg.grouping import Group
from parity.diagnosis.runtime_leg.node_pass import OffNode
from parity.diagnosis.runtime_leg.optimizers import OptimizerFault
from parity.diagnosis.runtime_leg.replacement import Replacement
from parity.records.diagnosis import Cause
from parity.records.jobs import Optimization

_FORMATS: dict[Format, str] = {"tf32": "TF32 (10 bits)", "float16": "float16", "bfloat16": "bfloat16"}


def of_optimizer(fault: OptimizerFault, replacement: Replacement | None, production: Optimization) -> Cause:
    """A graph optimizer, with what it made of which nodes."""
    names = " and ".join(fault.names)
    who = f"the graph optimizer {names}" if names else f"a graph optimizer of the level {fault.level!r}"
    what = f"{who} changes the result"
    if replacement is not None and replacement.by:
        gone = " + ".join(node.op_type for node in reversed(replacement.replaced))
        what = f"{who} turns {gone} into {' + '.join(reversed(replacement.by))}, which gives another result"
    below = LEVELS[LEVELS.index(fault.level) - 1]
    if names:
        entry = f'optimization.disable_specified_optimizers: "{";".join(fault.names)}"'
        remedy = f"onnxruntime: {{session_config: {{{entry}}}}}, or {{optimization: {below}}}"
    else:
        remedy = f"onnxruntime: {{optimization: {below}}}"
    if "GeluApproximation" in fault.names:
        remedy = "leave out session_config optimization.enable_gelu_approximation; or " + remedy
    node = replacement.node if replacement is not None else None
    return Cause(
        kind="graph-optimizer",
        leg="runtime",
        message=f"{what}; without it the error falls by {_percent(fault.share)} (optimization: {production})",
        remedy=remedy,
        share=fault.share,
        node="" if node is None else node.name or node.output[0],
    )


def of_overflow(off: OffNode) -> Cause:
    """The first node that gives NaN or infinity."""
    divergence = off.divergence
    return Cause(
        kind="nan",
        leg="runtime",
        message=f"{divergence.op_type} is the first that is not finite: {off.overflow}",
        remedy="keep this node in a wider type, or scale its inputs",
        node=divergence.node,
        tensor=divergence.output,
    )


def of_nodes(group: Group, share: float, device: str, fallen_to: str = "") -> Cause:
    """Nodes that are off by themselves, all for one reason.

    Args:
        group: the nodes and the reason.
        share: of the output's error that they explain.
        device: that they should run on.
        fallen_to: the provider that runs the first of them, where it is not the device's own.
    """
    first = group.nodes[0].divergence
    bits = [one.divergence.effective_bits for one in group.nodes if one.divergence.effective_bits is not None]
    kept = f"; the worst keeps {min(bits):.1f} bits" if bits else ""
    many = _counted(group)
    clipped = min(max(share, 0.0), 1.0)
    base = {"leg": "runtime", "share": clipped, "node": first.node}
    match group.kind:
        case "nondeterminism":
            return _cause(
                "nondeterminism",
                f"{many} gives another result each time, on the same inputs",
                "numerics: {deterministic_compute: true}",
                base,
            )
        case "reproduced":
            assert group.form is not None
            form = group.form
            return _cause(
                "tf32" if form == "tf32" else "precision",
                f"{many} computes with operands rounded to {_FORMATS[form]}{kept}; "
                f"that rounding in float64 reproduces {_percent(clipped)} of the error",
                _remedy_of_rounding(form, device),
                base,
            )
        case "algorithm":
            return _cause(
                "algorithm",
                f"{many} is off with the algorithm that cuDNN chose, and right with another{kept}",
                f"onnxruntime: {{provider_options: {{cudnn_conv_algo_search: {group.setting}}}}}",
                base,
            )
        case "provider":
            return _cause(
                "provider",
                f"{many} is off on {device} and right on the CPU, on the same inputs{kept}",
                "report it to ONNX Runtime with this node as the model; until then run this node on the CPU",
                base,
            )
        case _ if fallen_to:
            return _cause(
                "fallback",
                f"{many} is off by itself; {device} has no kernel for it, so that {fallen_to} runs it{kept}",
                "export with another opset or operator, which the provider of the device has a kernel for",
                base,
            )
        case _:
            return _cause(
                "unknown",
                f"{many} is off by itself on {device}, by {first.local_error:.3g}{kept}; "
                "no rounding of its operands explains it",
                "run this node alone in another version of ONNX Runtime, and report it if it stays",
                base,
            )


def of_rounding(
    error: float, noise: float, least_bits: tuple[float, str] | None, *, is_usual: bool, some_off: bool
) -> Cause:
    """No node's own error explains it: ordinary rounding, unless the error is beyond what that comes to here.

    Args:
        error: of the output, absolute.
        noise: what it is when every result is rounded.
        least_bits: that a sound sum of products keeps.
        is_usual: whether rounding may come to the error.
        some_off: whether some nodes before the output are off all the same.
    """
    who = "every node that was run alone keeps what its type allows"
    if some_off:
        who = "no node that is off by itself explains the error, the others keep what their type allows"
    kept = f", sums of products at least {least_bits[0]:.1f} bits" if least_bits else ""
    sound = f"{who}{kept}"
    if is_usual:
        return Cause(
            kind="rounding",
            leg="runtime",
            message=f"{sound}: ordinary rounding, carried through the network",
            remedy=f"none is needed; the tolerance has to be above {error:.3g}",
        )
    size = "NaN or infinite" if math.isinf(error) else f"{error:.3g}"
    return Cause(
        kind="unknown",
        leg="runtime",
        message=f"{sound}, and rounding every result comes to {noise:.3g}, but the output is off by {size}",
        remedy="look for a choice that rounding tips (TopK, ArgMax), and run with other providers",
    )


def of_random(nodes: Sequence[NodeProto]) -> tuple[Cause, ...]:
    """Operators of the file that draw random numbers."""
    if not nodes:
        return ()
    first = nodes[0].name or nodes[0].output[0]
    kinds = ", ".join(dict.fromkeys(node.op_type for node in nodes))
    return (
        Cause(
            kind="nondeterminism",
            leg="runtime",
            message=f"the file draws random numbers: {kinds} ({len(nodes)} nodes)",
            remedy="export the module in eval mode, and with noise as an input",
            node=first,
        ),
    )


def _cause(kind: str, message: str, remedy: str, base: dict[str, object]) -> Cause:
    return Cause(kind=kind, message=message, remedy=remedy, **base)  # type: ignore[arg-type]


def _counted(group: Group) -> str:
    first = group.nodes[0].divergence
    more = len(group.nodes) - 1
    rest = f" (and {more} more node{'s' if more > 1 else ''})" if more else ""
    return f"{first.op_type} {first.node!r}{rest}"


def _remedy_of_rounding(form: Format, device: str) -> str:
    if form == "tf32":
        return "numerics: strict, or tf32: false under numerics, which sets the provider option use_tf32: 0"
    if form == "bfloat16" and device == "cpu":
        return 'onnxruntime: {session_config: {mlas.enable_gemm_fastmath_arm64_bfloat16: "0"}}'
    return f"switch off what lets {device} compute in {form}, under onnxruntime: provider_options"


def _percent(share: float) -> str:
    return f"{min(share, 0.999):.1%}"
