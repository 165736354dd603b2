"""The stages that a pipeline is given on the side of ONNX: sessions that are called like modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from parity.records.jobs import ComponentJob
from parity.worker.backends.onnxruntime_session import Session
from parity.worker.casting import is_float
from parity.worker.loops import run_steps
from parity.worker.problems import Unable
from parity.worker.stages import NamedStages

Tensors = dict[str, torch.Tensor]
Watch = Callable[[Session, str, Tensors, Tensors], None]


class Stages(NamedStages["_Stage"]):
    """Stages that run sessions; `watch` sees what goes in and comes out of each."""

    def __init__(
        self,
        sessions: Mapping[str, Session],
        device: torch.device,
        watch: Watch | None,
        loops: Mapping[str, ComponentJob],
    ) -> None:
        super().__init__(
            {name: _Stage(self, name, one, device, watch, loops.get(name)) for name, one in sessions.items()}
        )


class _Steps(dict[str, torch.Tensor]):
    """What the last step of a loop returned; `steps` has that of each, as with PyTorch stages."""

    def __init__(self, steps: tuple[Mapping[str, torch.Tensor], ...]) -> None:
        super().__init__(steps[-1])
        self.steps = steps


class _Stage:
    """Called like a module: tensors by position or by ONNX input name -> tensors by ONNX output name."""

    def __init__(
        self,
        stages: Stages,
        name: str,
        session: Session,
        device: torch.device,
        watch: Watch | None,
        loop: ComponentJob | None,
    ) -> None:
        self._stages, self._name, self._session = stages, name, session
        self._device, self._watch, self._loop = device, watch, loop

    def __call__(self, *tensors: torch.Tensor, **named: torch.Tensor) -> Tensors:
        try:
            feeds = self._feeds(tensors, named)
            if self._loop is None:
                return self._run(feeds)
            return _Steps(tuple(run_steps(self._loop, feeds, self._run)))
        except Unable as error:
            self._stages.failed(error)
            raise

    def _run(self, feeds: Tensors) -> Tensors:
        outputs = self._session.run_tensors(feeds)
        if self._watch is not None:
            self._watch(self._session, self._name, feeds, outputs)
        return outputs

    def _feeds(self, tensors: tuple[Any, ...], named: dict[str, Any]) -> Tensors:
        declared = [value.name for value in self._session.inputs]
        by_position = dict(zip(declared, tensors, strict=False))
        twice = by_position.keys() & named.keys()
        if len(tensors) > len(declared) or twice or {*by_position, *named} != set(declared):
            raise Unable(
                "specification",
                f"the pipeline calls stage {self._name!r} with {len(tensors)} tensors by position and "
                f"{', '.join(named) or 'none'} by name; {self._session.path} declares {', '.join(declared)}",
                fix="pass one tensor for each input of the ONNX file, by position in this order or by name",
            )
        feeds = {**by_position, **named}
        for name, tensor in feeds.items():
            self._check(name, tensor)
        return self._cast(feeds) if self._session.casts_inputs else feeds

    def _cast(self, feeds: Tensors) -> Tensors:
        wanted = {value.name: value.dtype for value in self._session.inputs}
        return {
            name: tensor.to(getattr(torch, wanted[name]))
            if tensor.is_floating_point() and is_float(wanted[name])
            else tensor
            for name, tensor in feeds.items()
        }

    def _check(self, name: str, tensor: object) -> None:
        """The session reads memory by its address, so it must be what the session takes it for."""
        given = None
        if not isinstance(tensor, torch.Tensor):
            given = f"an object of type {type(tensor).__qualname__}"
        elif tensor.device != self._device:
            given = f"a tensor on {tensor.device}"
        elif tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
            given = "a sparse, quantized or nested tensor"
        if given is not None:
            raise Unable(
                "user-code",
                f"the pipeline gives stage {self._name!r} {given} as {name!r}",
                fix=f"give it a dense tensor on {self._device}",
            )
