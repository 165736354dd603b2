"""The error budget of one component call: everything runs again here, and in float64, on its recorded inputs.

What can't be had is a reason in the budget, whatever the user's code or the ONNX file did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from parity.artifacts import Array, read_tensor
from parity.diagnosis import onnx64, torch64
from parity.diagnosis.budget import Result, Results, diagnose
from parity.records.diagnosis import Diagnosis
from parity.records.jobs import Diagnose
from parity.records.tensors import TensorRecord
from parity.worker import numerics
from parity.worker.binding import Tensors
from parity.worker.flattening import Leaf
from parity.worker.problems import Unable
from parity.worker.reference_component import ReferenceComponent
from parity.worker.tensors import to_numpy

_ByOutput = dict[str, Result]
_Read = Callable[[tuple[TensorRecord, ...]], Tensors]


class CallDiagnosis:
    """All that is evaluated for one call; one thing after the other, and only outputs are kept.

    Args:
        component: whose call it was, ready to run under the numerics of the suite.
        request: the call, and what both sides made of it.
        read: gives new tensors on the component's device, which a forward may write to.
        by_onnx_name: whether the reference's records have ONNX names; else paths in the PyTorch result.
    """

    def __init__(
        self, component: ReferenceComponent, request: Diagnose, read: _Read, *, by_onnx_name: bool
    ) -> None:
        self._component, self._request = component, request
        self._read, self._by_onnx_name = read, by_onnx_name
        self._device = str(component.device)
        self._wanted = {
            name: record.name for name, record in zip(request.outputs, request.reference, strict=True)
        }

    def run(self) -> dict[str, Diagnosis]:
        """The diagnosis of each output, by its ONNX name."""
        again = self._evaluate("run again", self._reference)
        with numerics.strict() as others_in_force:
            strict = self._evaluate("run under strict numerics", self._reference) if others_in_force else None
        reference64 = self._evaluate("evaluated in float64", self._reference64)
        candidate64 = self._evaluate("evaluated in float64", self._candidate64)
        if self._component.device.type == "cuda":
            torch.cuda.empty_cache()  # the candidate's process computes on the same device
        repeated = self._repeated()
        request = self._request
        return {
            name: diagnose(
                Results(
                    reference=read_tensor(reference),
                    candidate=read_tensor(candidate),
                    reference64=reference64[name],
                    candidate64=candidate64[name],
                    reference_again=again[name],
                    candidate_again=repeated[name],
                    strict=strict[name] if strict else None,
                )
            )
            for name, reference, candidate in zip(
                request.outputs, request.reference, request.candidate, strict=True
            )
        }

    def _evaluate(self, done: str, evaluation: Callable[[], _ByOutput]) -> _ByOutput:
        """What an evaluation gives; one reason for all outputs where it does not end."""
        try:
            return evaluation()
        except torch64.Unknown as error:
            reason = error.reason
        except Unable as error:
            reason = error.problem
        except SystemExit as error:
            reason = f"{self._component.whose} called sys.exit({error.code!r}) when it was {done}"
        except (MemoryError, torch.OutOfMemoryError):
            reason = self._no_room(done)
        except RuntimeError as error:
            if "DefaultCPUAllocator" not in str(error):
                raise
            reason = self._no_room(done)
        return dict.fromkeys(self._wanted, reason)

    def _no_room(self, done: str) -> str:
        return f"{self._device} has not enough memory for {self._component.whose}, {done}"

    def _reference(self) -> _ByOutput:
        tensors = self._inputs()
        return self._arrays(self._component.run(self._component.bind(tensors), tensors))

    def _reference64(self) -> _ByOutput:
        tensors = self._inputs()
        args, kwargs = self._component.bind(tensors).arguments(tensors)
        result = torch64.evaluate64(self._component.module, args, kwargs)
        if result.random_ops:
            drawn = f"{', '.join(result.random_ops)} draws random numbers"
            return dict.fromkeys(self._wanted, drawn)
        return self._arrays(result.outputs)

    def _candidate64(self) -> _ByOutput:
        graph = onnx64.Graph64(self._component.job.onnx, self._device)
        evaluation = graph.run(self._feeds(graph.inputs))
        return {name: _array_of(evaluation, name) for name in self._wanted}

    def _repeated(self) -> _ByOutput:
        repeated = self._request.repeated
        if isinstance(repeated, str):
            return dict.fromkeys(self._wanted, repeated)
        return {
            name: read_tensor(record) for name, record in zip(self._request.outputs, repeated, strict=True)
        }

    def _inputs(self) -> Tensors:
        return self._read(self._request.call.inputs)

    def _feeds(self, declared: tuple[str, ...]) -> dict[str, Array]:
        """The inputs by the graph's names: by name where these are the same, else by order, as a session."""
        records = {record.name: record for record in self._request.call.inputs}
        if not set(declared) <= set(records) and len(declared) == len(records):
            records = dict(zip(declared, records.values(), strict=True))
        return {name: read_tensor(record) for name, record in records.items()}

    def _arrays(self, leaves: Mapping[str, Leaf]) -> _ByOutput:
        named = self._component.by_onnx_name(dict(leaves)) if self._by_onnx_name else leaves
        missing = "the result has no {!r} when it is computed once more"
        return {
            name: _array(named[path], name) if path in named else missing.format(path)
            for name, path in self._wanted.items()
        }


def _array(leaf: Leaf, name: str) -> Array:
    """Memory of its own: a module may hand out a buffer that its next run writes to."""
    return to_numpy(leaf, name).copy() if isinstance(leaf, torch.Tensor) else leaf.copy()


def _array_of(evaluation: onnx64.Evaluation, name: str) -> Result:
    if name in evaluation.unknown:
        return evaluation.unknown[name]
    value = evaluation.outputs.get(name)
    if value is None or isinstance(value, list):
        return f"the graph has no tensor {name!r} in float64"
    return value
