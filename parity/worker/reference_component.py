"""One component of the reference: a PyTorch module that takes and gives tensors by their ONNX names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NoReturn

import torch

from parity.records.jobs import MODEL, ComponentJob, Variant
from parity.records.tensors import TensorRecord, ValueInfo
from parity.worker.binding import Binding, Tensors, bind, bind_in_order, positional_names
from parity.worker.casting import is_float
from parity.worker.flattening import Leaf, flatten
from parity.worker.modules import running, synchronize
from parity.worker.onnx_files import read_signature
from parity.worker.output_names import output_names
from parity.worker.problems import Unable, listed
from parity.worker.variants import callable_of, under


class ReferenceComponent:
    """A module that is ready to run, and the ONNX file whose names it answers to.

    The file is read when it is needed first, so that a damaged one is no reason not to run the others.
    `variant` is how the module is run; what is evaluated in float64 and exported is the module itself.
    """

    def __init__(
        self,
        job: ComponentJob,
        module: torch.nn.Module,
        device: torch.device,
        variant: Variant | None = None,
    ) -> None:
        self.job, self.module, self.device = job, module, device
        self.variant = variant
        self._callable = callable_of(module, variant)

    @property
    def plain(self) -> ReferenceComponent:
        """The same module run as it is, whatever the variant."""
        return ReferenceComponent(self.job, self.module, self.device) if self.variant else self

    @property
    def name(self) -> str:
        """The component's name in the specification."""
        return self.job.name

    @property
    def whose(self) -> str:
        """Names the component in an error."""
        return "the model" if self.name == MODEL else f"component {self.name!r}"

    @cached_property
    def signature(self) -> tuple[tuple[ValueInfo, ...], tuple[ValueInfo, ...]] | None:
        """Inputs and outputs of the ONNX file; None when the gate makes the file itself."""
        return None if self.job.export else read_signature(self.job.onnx)

    @property
    def input_names(self) -> list[str]:
        """Of the ONNX file; of the forward's parameters when the gate makes the file itself."""
        if self.signature is None:
            return positional_names(self.module)
        return [value.name for value in self.signature[0]]

    def forward(self, binding: Binding, tensors: Tensors) -> object:
        """What the module returns, as it is; a GPU may still be computing it."""
        args, kwargs = binding.arguments(tensors)
        with (
            running(f"running {self.whose} in PyTorch on {self.device}", self.device, self.module),
            under(self.variant, self.device, self.whose),
        ):
            result: object = self._callable(*args, **kwargs)
        return result

    def run(self, binding: Binding, tensors: Tensors, *, wait: bool = True) -> dict[str, Leaf]:
        """The flattened result of the module by path.

        A GPU reports errors late: with `wait` those of this run are raised here.
        """
        result = self.forward(binding, tensors)
        if wait:
            with running(f"running {self.whose} in PyTorch on {self.device}", self.device):
                synchronize(self.device)
        return flatten(result, origin=self.whose)

    def bind(self, names: Iterable[str]) -> Binding:
        """How inputs of these names are passed; those of an ONNX file come in its order.

        Raises:
            Unable: ``specification``; the names are not the ONNX file's, or fit no parameters.
        """
        given = list(names)
        if self.signature is None:
            return bind(self.module, given, self.whose)
        declared = [value.name for value in self.signature[0]]
        for name in given:
            if name not in declared:
                self._unknown("input", name, declared)
        missing = [name for name in declared if name not in given]
        if missing:
            raise Unable(
                "specification",
                f"the input {missing[0]!r} of {self.job.onnx} is not given; given are {listed(given)}",
                fix="give every input of the ONNX file",
            )
        return bind(self.module, declared, self.whose)

    def by_position(self, names: Sequence[str]) -> Binding:
        """How the first inputs of `names_of` are passed by position; of an ONNX file it must be all.

        Raises:
            Unable: ``specification``; one is missing, or the forward has the same names in another order.
        """
        if self.signature is not None and len(names) != len(self.signature[0]):
            return self.bind(names)  # says which is missing
        return bind_in_order(self.module, names, self.whose)

    def names_of(self, args: int, keywords: Sequence[str]) -> list[str]:
        """ONNX names of what a pipeline passes: `args` tensors by position, then these keywords.

        Raises:
            Unable: ``specification``; there are too many, or one is given twice.
        """
        order = self.input_names
        twice = [name for name in keywords if name in order[:args]]
        if args > len(order) or twice:
            raise Unable(
                "specification",
                f"the pipeline calls {self.whose} with {args} tensors by position and {listed(keywords)} "
                f"by name, it takes {listed(order)}",
                fix="pass each input once, by position in this order or by name",
            )
        return [*order[:args], *keywords]

    def check(self, records: Iterable[TensorRecord]) -> None:
        """Holds the inputs of a case against what the ONNX file declares.

        Raises:
            Unable: ``specification``; a dtype or shape is another.
        """
        declared = {value.name: value for value in self.signature[0]} if self.signature else {}
        for record in records:
            value = declared.get(record.name)
            if value is None:
                continue
            cast = self.job.cast_inputs and is_float(value.dtype) and is_float(record.dtype)
            if value.dtype not in {record.dtype, "undefined"} and not cast:
                self._differs(record, value, "dtype")
            if value.shape is not None and not _fits(record.shape, value.shape):
                self._differs(record, value, "shape")

    def by_onnx_name(self, leaves: dict[str, Leaf]) -> dict[str, Leaf]:
        """The result by ONNX output name, in the order of the ONNX outputs.

        Raises:
            Unable: ``specification``; a path is not in the result, or the counts differ.
        """
        names = output_names(self.job, leaves, self.whose)
        if self.signature is None:
            return {name: leaves[path] for path, name in names.items()}
        declared = [value.name for value in self.signature[1]]
        if self.job.outputs:
            for name in self.job.outputs:
                if name not in declared:
                    self._unknown("output", name, declared)
            for name in declared:
                if name not in self.job.outputs and name not in leaves:
                    raise Unable(
                        "specification",
                        f"outputs leaves out {name!r}, and {self.whose} returns nothing of that path",
                        fix=f"map it to one of {listed(leaves)}",
                    )
            return {name: leaves[self.job.outputs.get(name, name)] for name in declared}
        if set(declared) == leaves.keys():
            return {name: leaves[name] for name in declared}
        if len(declared) != len(leaves):
            raise Unable(
                "specification",
                f"{self.whose} returns {len(leaves)} tensors ({listed(leaves)}), "
                f"{self.job.onnx} has {len(declared)} outputs ({listed(declared)})",
                fix="map each ONNX output to a path in the PyTorch result with 'outputs'",
            )
        return dict(zip(declared, leaves.values(), strict=True))

    def _unknown(self, role: str, name: str, declared: list[str]) -> NoReturn:
        near = difflib.get_close_matches(name, declared, 1)
        raise Unable(
            "specification",
            f"{self.job.onnx} has no {role} {name!r}; it has {listed(declared)}",
            fix=f"did you mean {near[0]!r}?" if near else f"use the names of the ONNX file's {role}s",
        )

    def _differs(self, record: TensorRecord, value: ValueInfo, what: str) -> NoReturn:
        shape = "any shape" if value.shape is None else _shape(value.shape)
        raise Unable(
            "specification",
            f"the input {record.name!r} is {record.dtype}{_shape(record.shape)}, "
            f"{self.job.onnx} takes {value.dtype}{shape}",
            fix=f"give it the {what} that the ONNX file declares, or export the file for this one",
        )


def _fits(shape: tuple[int, ...], declared: tuple[int | str | None, ...]) -> bool:
    return len(shape) == len(declared) and all(
        size == own for size, own in zip(shape, declared, strict=True) if isinstance(own, int)
    )


def _shape(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
