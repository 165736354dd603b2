"""A worker of the benchmark: one network, one exporter, one case after the other."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
import zlib
from pathlib import Path
from typing import BinaryIO

import msgspec
import onnx
import onnxruntime
import torch
from torch import Tensor

from parity.diagnosis.faults import FAULTS, Planted, choose
from parity.diagnosis.faults.graph import label
from parity.worker.problems import Unable
from parity.worker.profiling import PeakMemory

from . import subjects
from .cases import Case, Finished, Message, Outcome, Planting, Started
from .sides import Sides, nonfinite, question

_SEED = 1  # of the inputs that a diagnosis sees; the exporter saw 0


def serve(requests: BinaryIO) -> None:
    """Does all cases of one combination: a JSON array of them on one line.

    Standard output is for the messages alone; whatever a library prints goes to standard error.
    """
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    cases = msgspec.json.decode(requests.readline(), type=list[Case])

    def send(message: Message) -> None:
        replies.write(msgspec.json.encode(message) + b"\n")
        replies.flush()

    with tempfile.TemporaryDirectory() as folder:
        combination = cases[0].combination
        sides = Sides(combination.subject, combination.exporter, Path(folder))
        sides.export()
        trials = Trials(sides)
        for case in cases:
            send(Started(case))
            send(Finished(trials.outcome(case)))


class Trials:
    """Alters the exported file for each case and has it diagnosed.

    Args:
        sides: of the combination; its file is the sound one.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._sound = onnx.load(sides.path)

    def outcome(self, case: Case) -> Outcome:
        """What came of one case; an exception of the product is an outcome, too."""
        try:
            return self._fault(case) if case.kind == "fault" else self._sound_file(case)
        except Exception as error:  # noqa: BLE001 - told in the table, and counted against us
            print(traceback.format_exc(), file=sys.stderr)
            told = f"{error.problem} {error.detail[-500:]}" if isinstance(error, Unable) else str(error)
            return Outcome(case=case, status="failed", problem=f"{type(error).__name__}: {told}")

    def _fault(self, case: Case) -> Outcome:
        fault = FAULTS[case.name]()
        sites = fault.sites(self._sound)
        if not sites:
            return Outcome(case=case, status="inapplicable")
        planted = fault.plant(self._sound, choose(sites, zlib.crc32(case.id.encode())))
        onnx.save(planted.model, self._sides.path)
        planting = told(planted)
        return msgspec.structs.replace(self._diagnosed(case, self._inputs(case, _SEED)), planted=planting)

    def _sound_file(self, case: Case) -> Outcome:
        inputs = self._inputs(case, _SEED + (2 + case.seed if case.name == "other-inputs" else 0))
        model = self._sound
        if case.name == "range-255":
            if not any(tensor.is_floating_point() for tensor in inputs.values()):
                return Outcome(case=case, status="inapplicable")
            inputs = {name: _wide(tensor) for name, tensor in inputs.items()}
        if case.name == "simplified":
            model = _simplified(model)
        if case.name == "anonymous":
            model = _anonymous(model)
        onnx.save(model, self._sides.path)
        return self._diagnosed(case, inputs)

    def _inputs(self, case: Case, seed: int) -> dict[str, Tensor]:
        return subjects.inputs(case.combination.subject, seed)

    def _diagnosed(self, case: Case, inputs: dict[str, Tensor]) -> Outcome:
        call = self._sides.run("case", inputs)
        try:
            once, again = self._sides.candidate(call)
        except Unable as error:
            if case.kind == "sound":
                raise
            return Outcome(case=case, status="refused", problem=error.problem)
        pairs = list(zip(call.outputs, once, strict=True))
        if any((ours.shape, ours.dtype) != (theirs.shape, theirs.dtype) for ours, theirs in pairs):
            return Outcome(case=case, status="refused", problem="an output has another shape or dtype")
        with PeakMemory() as memory:
            answer = self._sides.diagnose(question(call, once, again))
        return Outcome(
            case=case,
            status="done",
            diagnoses=answer.diagnoses,
            nonfinite={theirs.name: nonfinite(ours, theirs) for ours, theirs in pairs},
            seconds=answer.seconds,
            peak_bytes=memory.rss_bytes,
        )


def told(planted: Planted) -> Planting:
    """With the producers and consumers of what was altered, by the names that a diagnosis would use."""
    accepted = set(planted.accepted)
    nodes = planted.model.graph.node
    tensors = {name for node in nodes if label(node) in accepted for name in (*node.input, *node.output)}
    near = [label(node) for node in nodes if tensors & {*node.input, *node.output} - {""}]
    return Planting(
        cause_kind=planted.cause_kind,
        node=planted.node,
        op_type=planted.op_type,
        message=planted.message,
        accepted=planted.accepted,
        near=tuple(dict.fromkeys(near)),
    )


def _wide(tensor: Tensor) -> Tensor:
    """Values of a picture that was never normalized: the same ranks, from 0 to 255."""
    if not tensor.is_floating_point():
        return tensor
    return (
        255
        * (tensor - tensor.min())
        / (tensor.max() - tensor.min()).clamp_min(torch.finfo(tensor.dtype).tiny)
    )


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simplified.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def _anonymous(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.metadata_props[:]
    for node in copy.graph.node:
        node.name = node.doc_string = ""
        del node.metadata_props[:]
    return copy
