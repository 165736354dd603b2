"""The two exporters of PyTorch: how each is asked for the same thing."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from parity.worker.loaders.torchscript import TorchScriptModule
from parity.worker.problems import Unable

# A protobuf message holds 2 GB; parameters beyond this go into a file beside the model.
_INLINE_BYTES = 1_500_000_000


@dataclass(frozen=True)
class ExportRequest:
    """What an exporter gets: the module in eval mode, the arguments of the example, and all names."""

    module: torch.nn.Module
    args: tuple[torch.Tensor, ...]
    kwargs: dict[str, torch.Tensor]
    input_names: tuple[str, ...]  # of args and kwargs, in order
    output_names: tuple[str, ...]  # of the flattened result, in order
    opset: int | None
    constant_folding: bool | None
    dynamic_shapes: dict[str, dict[int, str]]  # input name -> axis -> name of the dimension

    @property
    def examples(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Each input's name and tensor."""
        return zip(self.input_names, (*self.args, *self.kwargs.values()), strict=True)


def export_torchscript(request: ExportRequest, path: Path) -> None:
    """`torch.onnx.export(dynamo=False)`: traces the module, or takes it as it is where it is TorchScript."""
    if isinstance(request.module, TorchScriptModule):
        _torchscript(request, request.module.script, request.args, request.kwargs, path)
        return
    with _taking_only(request):
        _torchscript(request, request.module, (*request.args, *request.kwargs.values()), {}, path)


def _torchscript(
    request: ExportRequest,
    module: torch.nn.Module,
    args: tuple[torch.Tensor, ...],
    kwargs: dict[str, torch.Tensor],
    path: Path,
) -> None:
    folding = request.constant_folding
    torch.onnx.export(
        module,
        args,
        path,
        kwargs=kwargs,
        input_names=request.input_names,
        output_names=request.output_names,
        opset_version=request.opset,
        dynamic_axes=request.dynamic_shapes or None,
        do_constant_folding=True if folding is None else folding,
        keep_initializers_as_inputs=False,
        dynamo=False,
        verbose=False,
    )


@contextmanager
def _taking_only(request: ExportRequest) -> Iterator[None]:
    """Lets the forward take the request's tensors alone, by position.

    The exporter fills in the default of every parameter that is left, and makes an input of each number.
    """
    forward, own = request.module.forward, vars(request.module)
    before = own.get("forward")
    count, names = len(request.args), tuple(request.kwargs)

    def taking_only(*tensors: torch.Tensor) -> Any:
        return forward(*tensors[:count], **dict(zip(names, tensors[count:], strict=True)))

    own["forward"] = taking_only
    try:
        yield
    finally:
        del own["forward"]
        if before is not None:
            own["forward"] = before


def export_dynamo(request: ExportRequest, path: Path) -> None:
    """`torch.onnx.export(dynamo=True)`: captures the module with `torch.export`.

    Constant folding is a part of this exporter's optimizer, which fuses batch norms too: both or neither.
    """
    if isinstance(request.module, TorchScriptModule):
        raise Unable(
            "model",
            "the dynamo exporter takes no TorchScript program",
            fix="use `exporter: torchscript`, or export the module that the program was made from",
        )
    folding = request.constant_folding
    values = (*request.module.parameters(), *request.module.buffers())
    torch.onnx.export(
        request.module,
        request.args,
        path,
        kwargs=request.kwargs,
        input_names=request.input_names,
        output_names=request.output_names,
        opset_version=request.opset,
        dynamic_shapes=_dynamic_by_parameter(request),
        optimize=True if folding is None else folding,
        external_data=sum(value.nbytes for value in values) > _INLINE_BYTES,
        keep_initializers_as_inputs=False,
        dynamo=True,
        verbose=False,
    )


def _dynamic_by_parameter(request: ExportRequest) -> dict[str, Any] | None:
    """The dynamic axes in the structure of the forward's parameters, as `torch.export` wants them."""
    if not request.dynamic_shapes:
        return None
    axes = {id(tensor): request.dynamic_shapes.get(name) for name, tensor in request.examples}

    def of(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(of(one) for one in value)
        if isinstance(value, dict):
            return {name: of(one) for name, one in value.items()}
        return axes[id(value)]

    bound = inspect.signature(request.module.forward).bind(*request.args, **request.kwargs)
    return {name: of(value) for name, value in bound.arguments.items()}
