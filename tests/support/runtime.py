"""ONNX Runtime as a backend of the diagnosis: sound, or with a defect in every model that it opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import FunctionProto, ModelProto, TensorProto, helper

from parity.artifacts import Array
from parity.diagnosis.runtime_leg import How, Run, diagnose_runtime
from parity.diagnosis.runtime_leg.backend import PRODUCTION
from parity.records.jobs import Numerics, OnnxRuntimeOptions, Optimization
from parity.records.outcomes import RuntimeFinding
from parity.worker.candidate_diagnosis import OrtBackend

Defect = Callable[[ModelProto], None]

_PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_CASTS = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
_DOMAIN = "emulated"


class DefectiveBackend(OrtBackend):
    """ONNX Runtime without optimization, in which every model has the defect, the single nodes too."""

    def __init__(self, defect: Defect, folder: Path) -> None:
        options = OnnxRuntimeOptions(optimization="disable_all")
        super().__init__("cpu", Numerics(), options, folder)
        self._defect = defect

    def open(self, model: str | ModelProto, how: How = PRODUCTION) -> Run:
        loaded = onnx.load(model) if isinstance(model, str) else model
        altered = ModelProto()
        altered.CopyFrom(loaded)
        self._defect(altered)
        return super().open(altered, how)


def sound_backend(
    folder: Path, optimization: Optimization | None = None, **session_config: str
) -> OrtBackend:
    """ONNX Runtime as it is, with its own defaults."""
    config = {f"optimization.{name}": value for name, value in session_config.items()}
    options = OnnxRuntimeOptions(optimization=optimization, session_config=config)
    return OrtBackend("cpu", Numerics(), options, folder)


def diagnosed_runtime(
    model: ModelProto, feeds: Mapping[str, Array], backend: OrtBackend, folder: Path
) -> dict[str, RuntimeFinding]:
    """Saves the model, runs it as production, and asks why it differs."""
    path = str(folder / "production.onnx")
    onnx.save(model, path)
    found = backend.open(path)(feeds)
    return diagnose_runtime(path, feeds, found, backend)


def rounds_operands(form: str) -> Defect:
    """Both factors of every product are rounded: tf32, float16 or bfloat16."""

    def defect(model: ModelProto) -> None:
        opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        model.functions.append(_rounding(form, opset))
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
        nodes = list(model.graph.node)
        del model.graph.node[:]
        for index, node in enumerate(nodes):
            if node.op_type in _PRODUCTS:
                for place in (0, 1):
                    rounded = f"{_DOMAIN}.{index}.{place}"
                    call = helper.make_node("Round", [node.input[place]], [rounded], domain=_DOMAIN)
                    model.graph.node.append(call)
                    node.input[place] = rounded
            model.graph.node.append(node)

    return defect


def scales(output: str, factor: float) -> Defect:
    """What the node gives as `output` is scaled."""

    def defect(model: ModelProto) -> None:
        nodes = list(model.graph.node)
        del model.graph.node[:]
        for node in nodes:
            if output not in node.output:
                model.graph.node.append(node)
                continue
            exact, name = f"{_DOMAIN}.exact", f"{_DOMAIN}.factor"
            node.output[list(node.output).index(output)] = exact
            value = helper.make_tensor(f"{_DOMAIN}.value", TensorProto.FLOAT, [], [factor])
            constant = helper.make_node("Constant", [], [name], value=value)
            model.graph.node.extend([node, constant, helper.make_node("Mul", [exact, name], [output])])

    return defect


def _rounding(form: str, opset: int) -> FunctionProto:
    nodes = _tf32() if form == "tf32" else _cast(_CASTS[form])
    imports = [helper.make_opsetid("", opset)]
    return helper.make_function(_DOMAIN, "Round", ["x"], ["y"], nodes, imports)


def _cast(kind: int) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["x"], ["narrow"], to=kind),
        helper.make_node("Cast", ["narrow"], ["y"], to=TensorProto.FLOAT),
    ]


def _tf32() -> list[onnx.NodeProto]:
    """11 significant bits by Veltkamp's splitting, x * c - (x * c - x); it ties to even, TF32 away from zero.

    So it is done again for the next number away from zero, which is right where both results are as far.
    """
    constant = helper.make_node
    nodes = [
        constant("Constant", [], ["c"], value_float=float(2**13 + 1)),
        constant("Constant", [], ["up"], value_float=float(np.float32(1 + 2**-23))),
        helper.make_node("Mul", ["x", "up"], ["next"]),
    ]
    for source, target in (("x", "even"), ("next", "away")):
        nodes += [
            helper.make_node("Mul", [source, "c"], [f"{target}.p"]),
            helper.make_node("Sub", [f"{target}.p", source], [f"{target}.q"]),
            helper.make_node("Sub", [f"{target}.p", f"{target}.q"], [target]),
        ]
    return [
        *nodes,
        helper.make_node("Sub", ["x", "even"], ["below"]),
        helper.make_node("Sub", ["away", "x"], ["above"]),
        helper.make_node("Abs", ["below"], ["below.size"]),
        helper.make_node("Abs", ["above"], ["above.size"]),
        helper.make_node("Equal", ["below.size", "above.size"], ["tie"]),
        helper.make_node("Where", ["tie", "away", "even"], ["y"]),
    ]
