"""One ONNX Runtime session: checked inputs in, every output out, in any dtype, on any device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from parity.artifacts import Array, dtype_name
from parity.records.placement import Placement
from parity.records.tensors import ValueInfo
from parity.worker import onnx_files
from parity.worker.backends.onnxruntime_collections import leaves
from parity.worker.backends.onnxruntime_errors import explained
from parity.worker.backends.onnxruntime_values import to_numpy, to_ort, to_torch
from parity.worker.problems import Unable

if TYPE_CHECKING:
    import torch

Device = tuple[str, int]  # as ONNX Runtime takes it: ("cuda", 0)
_HOST: Device = ("cpu", 0)


class Session:
    """A session on the file at `path`; `inputs` and `outputs` are what the file declares, in its order.

    `placement` says which execution provider runs each node.

    Every run raises `Unable`: ``specification`` for an input of another dtype or shape than declared,
    ``onnx`` when ONNX Runtime fails.
    """

    def __init__(
        self,
        native: Any,
        path: str,
        inputs: tuple[ValueInfo, ...],
        outputs: tuple[ValueInfo, ...],
        device: Device,
        placement: Placement,
    ) -> None:
        self.native, self.path, self.inputs, self.outputs = native, path, inputs, outputs
        self.placement = placement
        self.casts_inputs = False  # whether floats are rounded to the declared dtype before they are given
        self.device = self._device = device
        self._names = [output.name for output in outputs]
        self._shrinking = _shrinking(device)
        found = [node.type for node in native.get_outputs()]
        kinds = [node.type for node in native.get_inputs()]
        # What the file does not say is taken for a tensor.
        kinds += [kind for kind, value in zip(found, outputs, strict=True) if value.form == "tensor"]
        if strange := [kind for kind in kinds if not kind.startswith("tensor(")]:
            raise Unable(
                "onnx",
                f"{path} has an input or output of type {strange[0]}: only tensors are supported, unless an "
                "output is declared as something else",
            )
        odd = [
            kind for kind in (*kinds, *found) if kind == "tensor(string)" or not kind.startswith("tensor(")
        ]
        self._odd = odd[0] if odd else ""

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers that loaded, the preferred first."""
        return tuple(self.native.get_providers())

    def names_for(self, given: Sequence[str], whose: str) -> dict[str, str]:
        """Input of the file -> name of the given tensor: by name when the names are the same, else by order.

        Args:
            given: names of the tensors, in the order of the call.
            whose: what they are given to, for the error: ``component 'voxel_encoder'``.

        Raises:
            Unable: ``specification``; there are more or fewer tensors than inputs.
        """
        declared = [value.name for value in self.inputs]
        if set(given) == set(declared):
            return {name: name for name in declared}
        if len(given) == len(declared):
            return dict(zip(declared, given, strict=True))
        raise Unable(
            "specification",
            f"{whose} is given {_listing(given)}, {self.path} declares {_listing(declared)}",
            fix="give one tensor for each input of the ONNX file, by the same names or in the same order",
        )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs on host arrays, by input name; gives every output in host memory, ordered as in the file."""
        self._check_arrays(feeds)
        if self._odd:
            return self._run_as_python(feeds)
        binding = self._bind(feeds, outputs_on=_HOST)
        with explained("run", self.path):
            self.native.run_with_iobinding(binding, self._shrinking)
            binding.synchronize_outputs()
            values = binding.get_outputs()
        return {name: to_numpy(value, name) for name, value in zip(self._names, values, strict=True)}

    def run_tensors(self, feeds: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Runs on PyTorch tensors that lie on the session's device, and gives such; nothing is copied."""
        import torch

        from parity.worker.tensors import torch_dtype_name

        self._check({name: (torch_dtype_name(t.dtype), tuple(t.shape)) for name, t in feeds.items()})
        if self._odd:
            raise Unable(
                "onnx",
                f"{self.path} has a value of type {self._odd}, which a stage of a pipeline can't: it is no "
                "tensor of PyTorch",
            )
        held = {value.name: feeds[value.name].contiguous().resolve_neg() for value in self.inputs}
        with explained("run", self.path):
            binding = self.native.io_binding()
            for value in self.inputs:
                tensor, code = held[value.name], onnx_files.element_type(value.dtype)
                binding.bind_input(value.name, *self._device, code, tuple(tensor.shape), tensor.data_ptr())
            for name in self._names:
                binding.bind_output(name, *self._device)
            if self._device != _HOST:
                # ONNX Runtime has a stream of its own, which does not wait for what PyTorch has queued.
                torch.cuda.current_stream(self._device[1]).synchronize()
            self.native.run_with_iobinding(binding, self._shrinking)
            binding.synchronize_outputs()
            values = binding.get_outputs()
        return {
            name: to_torch(value, name, self._device) for name, value in zip(self._names, values, strict=True)
        }

    def prepare(self, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """A run to be timed: inputs lie on the device already, outputs stay there, nothing is converted.

        The returned call comes back when the device has finished.
        """
        self._check_arrays(feeds)
        if self._odd:
            return lambda: self._run_as_python(feeds)
        binding = self._bind(feeds, outputs_on=self._device)

        def run() -> None:
            with explained("run", self.path):
                self.native.run_with_iobinding(binding)
                binding.synchronize_outputs()

        return run

    def _bind(self, feeds: Mapping[str, Array], *, outputs_on: Device) -> Any:
        with explained("run", self.path):
            binding = self.native.io_binding()
            # ONNX Runtime reads the arrays' own memory, so they have to live as long as the binding.
            binding.values = [to_ort(feeds[value.name]) for value in self.inputs]
            for value, given in zip(self.inputs, binding.values, strict=True):
                # Copies to the session's device, where that is not the host.
                binding.bind_ortvalue_input(value.name, given)
            for name in self._names:
                binding.bind_output(name, *outputs_on)
            binding.synchronize_inputs()
        return binding

    def _run_as_python(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """ONNX Runtime gives strings, sequences and maps as Python's own, where some dtypes are lost."""
        given = {
            name: array if dtype_name(array.dtype) == "string" else to_ort(array)
            for name, array in feeds.items()
        }
        with explained("run", self.path):
            results = self.native.run(self._names, given)
        outputs: dict[str, Array] = {}
        for value, result in zip(self.outputs, results, strict=True):
            for name, array in leaves(value, result, self.path):
                if name in outputs:
                    raise Unable("onnx", f"two values in the outputs of {self.path} are named {name!r}")
                outputs[name] = array
        return outputs

    def _check_arrays(self, feeds: Mapping[str, Array]) -> None:
        self._check({name: (dtype_name(array.dtype), array.shape) for name, array in feeds.items()})

    def _check(self, given: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        """Raises `Unable` unless each input is there with the dtype and shape that the file declares."""
        for value in self.inputs:
            # An input that is not bound crashes the process.
            if value.name not in given:
                raise Unable("specification", f"input {value.name!r} of {self.path} is not given")
            dtype, shape = given[value.name]
            if dtype == value.dtype and _fits(shape, value.shape):
                continue
            raise Unable(
                "specification",
                f"input {value.name!r} is {dtype}{_shape_text(shape)}, {self.path} declares "
                f"{value.dtype}{_shape_text(value.shape)}",
                fix="give the input as the file declares it, or export the model for this dtype and shape",
            )


def _shrinking(device: Device) -> Any:
    """Run options under which a GPU's arena gives back at the end of a run what the run made it grow by.

    The reference's process computes on the same GPU. Timed runs go without: they would pay for it each time.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    if device != _HOST:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", f"gpu:{device[1]}")
    return options


def _fits(shape: tuple[int, ...], declared: tuple[int | str | None, ...] | None) -> bool:
    if declared is None:
        return True
    return len(shape) == len(declared) and all(
        not isinstance(wanted, int) or wanted == size for size, wanted in zip(shape, declared, strict=True)
    )


def _shape_text(shape: tuple[int | str | None, ...] | None) -> str:
    if shape is None:
        return " of any shape"
    return f"[{','.join('?' if size is None else repr(size) for size in shape)}]"


def _listing(names: Sequence[str]) -> str:
    return f"{len(names)} input{'s' if len(names) != 1 else ''} ({', '.join(names)})"
