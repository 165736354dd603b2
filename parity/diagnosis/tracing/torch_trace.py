"""Traces a module while it is evaluated in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch.utils.weak import WeakTensorKeyDictionary

from parity.diagnosis.torch64 import Observation, Result64, evaluate64

from .sketches import Sketch, sketch
from .trace import Trace, TracedOp, TracedTensor

_aten = torch.ops.aten

# The exporters write these as several nodes, or as several in some operator sets.
_DECOMPOSED = (
    _aten.addmm,
    _aten.baddbmm,
    _aten.gelu,
    _aten.hardsigmoid,
    _aten.hardswish,
    _aten.native_group_norm,
    _aten.native_layer_norm,
    _aten._softmax,
    _aten.silu,
    _aten.softplus,
    _aten.mish,
    _aten.std,
    _aten.rsub,
    _aten.pixel_shuffle,
)


def trace_module(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    inputs: Mapping[str, Tensor],
    output_names: Mapping[str, str],
    native: torch.dtype | None = None,
) -> tuple[Result64, Trace]:
    """Evaluates a module once in float64 and traces every ATen operator, fused ones taken apart.

    Args:
        module: as `evaluate64` takes it.
        args: positional inputs of the forward.
        kwargs: keyword inputs of the forward.
        inputs: the tensors among these by the name of the ONNX input.
        output_names: ONNX output -> path in the result.
        native: as `evaluate64` takes it.

    Raises:
        parity.diagnosis.torch64.Unknown: as `evaluate64`.
    """
    recorder = _Recorder(module, inputs)
    result = evaluate64(
        module, args, kwargs, recorder.see, native=native, decompositions=_finer_decompositions()
    )
    outputs = {
        name: index
        for name, path in output_names.items()
        if (index := recorder.find(result.outputs.get(path))) is not None
    }
    return result, recorder.trace(outputs)


@cache
def _finer_decompositions() -> Mapping[Any, Any]:
    return get_decompositions(_DECOMPOSED)


class _Recorder:
    """Follows tensors by identity and version: an in-place operator makes a new value of an old tensor."""

    def __init__(self, module: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        self._tensors: list[TracedTensor] = []
        self._ops: list[TracedOp] = []
        self._seen: Any = WeakTensorKeyDictionary()  # tensor -> (version, index)
        self._named: dict[str, int] = {}  # how often a name was asked for
        self._inputs = {name: self._add(name, tensor, constant=False) for name, tensor in inputs.items()}
        held = (*module.named_parameters(), *module.named_buffers())
        self._state = {id(tensor): name for name, tensor in held}

    def see(self, observation: Observation) -> None:
        """Observes one operator."""
        # Some operators hand their operand on unchanged, `aten.to` for one; those in place are named for it.
        in_place = observation.op_name.split(".")[1].endswith("_") or "out" in observation.op_name
        written = {id(tensor) for tensor in observation.outputs} if in_place else set()
        inputs = tuple(self._known(tensor, id(tensor) in written) for tensor in observation.inputs)
        read = [self._tensors[index] for index in inputs]
        constant = all(tensor.constant for tensor in read)
        number = len(self._ops)
        outputs = tuple(
            self._add(
                f"{observation.op_name}#{number}",
                tensor,
                constant=constant,
                op=number,
                like=self._shared(tensor, observation.inputs, inputs),
                due=int(id(tensor) in written and not tensor.is_inference()),
            )
            for tensor in observation.outputs
        )
        label = self._tensors[outputs[0]].name if outputs else f"{observation.op_name}#{number}"
        self._ops.append(
            TracedOp(
                number,
                observation.op_name,
                label,
                inputs,
                outputs,
                observation.module_path,
                observation.source,
            )
        )

    def find(self, leaf: object) -> int | None:
        """The traced tensor of an output, which is handed out as a copy: the last one equal to it."""
        if not isinstance(leaf, Tensor):
            return None
        wanted = sketch(leaf)
        for tensor in reversed(self._tensors):
            traced = tensor.sketch
            if traced is not None and traced.shape == wanted.shape and traced.distance(wanted) == 0.0:
                return tensor.index
        return None

    def trace(self, outputs: Mapping[str, int]) -> Trace:
        """What was seen."""
        return Trace(tuple(self._tensors), tuple(self._ops), self._inputs, outputs)

    def _known(self, tensor: Tensor, written: bool) -> int:
        """The index of an operand. One that the operator has written to is the value before, as last seen.

        A parameter or a constant is seen here first; so is what an operator has written to through a view.
        """
        version, index = self._seen.get(tensor, (None, None))
        if index is not None and (written or version == _version(tensor) or self._unchanged(tensor, index)):
            return int(index)
        name = self._state.get(id(tensor), "") or "tensor"
        if written:  # its old value is gone
            return self._append(name, None, constant=False, op=None)
        return self._add(name, tensor, constant=index is None)

    def _unchanged(self, tensor: Tensor, index: int) -> bool:
        """Whether it still has the value it had: versions of written tensors and of views settle after us."""
        before = self._tensors[index].sketch
        if before is None or before.shape != tuple(tensor.shape):
            return False
        after = _sketched(tensor)
        return after is not None and before.distance(after) == 0.0

    def _add(
        self,
        name: str,
        tensor: Tensor,
        *,
        constant: bool,
        op: int | None = None,
        like: Sketch | None = None,
        due: int = 0,
    ) -> int:
        """A new tensor; `due` says how often PyTorch is going to count its version up for this operator."""
        taken = like.reshaped(tuple(tensor.shape)) if like is not None else _sketched(tensor)
        index = self._append(name, taken, constant=constant, op=op)
        self._seen[tensor] = (_version(tensor) + due, index)
        return index

    def _append(self, name: str, taken: Sketch | None, *, constant: bool, op: int | None) -> int:
        index, count = len(self._tensors), self._named.get(name, 0)
        self._named[name] = count + 1
        unique = f"{name}.{count}" if count else name  # an operator may have several results
        self._tensors.append(TracedTensor(index, unique, taken, op, constant))
        return index

    def _shared(self, tensor: Tensor, read: Sequence[Tensor], indices: Sequence[int]) -> Sketch | None:
        """The sketch of the operand that this is only another shape of."""
        for operand, index in zip(read, indices, strict=True):
            same_memory = (
                operand is not tensor
                and operand.dtype == tensor.dtype
                and operand.numel() == tensor.numel() > 0
                and operand.data_ptr() == tensor.data_ptr()
                and operand.is_contiguous()
                and tensor.is_contiguous()
            )
            if same_memory:
                return self._tensors[index].sketch
        return None


def _version(tensor: Tensor) -> int:
    # Tensors made in inference mode have no version; nothing else can see what is written to them.
    return 0 if tensor.is_inference() else tensor._version


def _sketched(tensor: Tensor) -> Sketch | None:
    return None if tensor.is_quantized or tensor.is_sparse else sketch(tensor)
