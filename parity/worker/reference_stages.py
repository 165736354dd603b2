"""The stages that a pipeline function calls, in PyTorch; what goes in and comes out can be recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import torch

from parity.worker.flattening import Leaf
from parity.worker.problems import Unable
from parity.worker.recording import Recorder
from parity.worker.reference_component import ReferenceComponent
from parity.worker.reference_loop import call_once, reference_steps
from parity.worker.stages import NamedStages


class Stages(NamedStages["Stage"]):
    """Stages that run PyTorch modules.

    Args:
        components: all of the suite.
        recorder: None while a run is timed.
    """

    def __init__(self, components: Mapping[str, ReferenceComponent], recorder: Recorder | None) -> None:
        super().__init__({name: Stage(one, recorder, self) for name, one in components.items()})


class Stage:
    """One component as a pipeline calls it: ``stages["encoder"](x)`` -> ``{ONNX output: tensor}``.

    Tensors are passed by position, in the order of the ONNX inputs, or by their names.
    """

    def __init__(self, component: ReferenceComponent, recorder: Recorder | None, stages: Stages) -> None:
        self._component, self._recorder, self._stages = component, recorder, stages

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Leaf]:
        """Raises `Unable` when the arguments are not what the component takes, or it fails."""
        try:
            return self._call(args, kwargs)
        except Unable as error:
            self._stages.failed(error)
            raise

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Leaf]:
        component, recorder = self._component, self._recorder
        given = (*args, *kwargs.values())
        for value in given:
            if not isinstance(value, torch.Tensor):
                raise Unable(
                    "user-code",
                    f"the pipeline calls {component.whose} with an object of type {type(value).__qualname__}",
                    fix="pass tensors only: they are what an ONNX file takes",
                )
        names = component.names_of(len(args), list(kwargs))
        tensors = dict(zip(names, given, strict=True))
        # Tensors by position go to forward as they are; names decide only where some are given by name.
        binding = component.bind(names) if kwargs else component.by_position(names)
        if component.job.loop is None:
            outputs = call_once(component, binding, tensors, recorder, by_path=False)
            return StageOutputs(outputs, component.whose, self._stages)
        steps = tuple(reference_steps(component, binding, tensors, recorder, by_path=False))
        return StageOutputs(steps[-1], component.whose, self._stages, steps)


class StageOutputs(dict[str, Leaf]):
    """What a stage returns; asked for an output that is not there, it says which are.

    Of a component with a loop it is what the last step returned, and `steps` has that of each.
    """

    def __init__(
        self,
        outputs: Mapping[str, Leaf],
        whose: str,
        stages: Stages,
        steps: tuple[Mapping[str, Leaf], ...] = (),
    ) -> None:
        super().__init__(outputs)
        self.steps = steps
        self._whose, self._stages = whose, stages

    def __missing__(self, name: object) -> NoReturn:
        raise self._stages.failed(
            Unable(
                "specification",
                f"the pipeline asks {self._whose} for the output {name!r}; "
                f"it has {', '.join(map(repr, self))}",
                fix="use the names of the ONNX outputs; 'outputs' maps them to the PyTorch result",
            )
        )
