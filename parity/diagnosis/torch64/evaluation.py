"""One evaluation of a module in float64, with everything put back afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.attention import SDPBackend, sdpa_kernel

from parity.worker.flattening import Leaf, flatten

from .arguments import leaves, random_devices
from .dispatch import Raising
from .dtypes import RAISED, native_dtype
from .functions import Appearing, fused_layers
from .observation import Observer
from .places import ModuleStack
from .state import Loan, Snapshot
from .unknown import Unknown


@dataclass(frozen=True)
class Result64:
    """What the module gives in float64.

    Args:
        outputs: by path, as `parity.worker.flattening.flatten` names them; every floating tensor is float64.
        native: the floating dtype that the module computes in of its own.
        random_ops: operators that drew random numbers, in the order of their first call.
        autocast: whether the forward computes anything under autocast, which is off here.
    """

    outputs: dict[str, Leaf]
    native: torch.dtype
    random_ops: tuple[str, ...]
    autocast: bool


def evaluate64(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    observe: Observer | None = None,
    *,
    native: torch.dtype | None = None,
    decompositions: Mapping[OpOverload, Callable[..., Any]] | None = None,
) -> Result64:
    """Calls the module with every floating tensor in float64, on the devices where the tensors are.

    Afterwards the module and the inputs are what they were, to the bit, whatever happened; so are PyTorch's
    random generators, default dtype and hooks. Autocast is off, also where the forward turns it on. The grad
    mode is the caller's. A cast to a dtype that can't hold the values of `native` still rounds.

    Args:
        module: as the user runs it; its train mode is left alone.
        args: positional inputs of the forward.
        kwargs: keyword inputs of the forward.
        observe: is told of every ATen result; see `Observation`. Encoder layers then take their plain path,
            which differs from the fused one at padded positions.
        native: the dtype that casts are judged by; by default what most of the parameters have.
        decompositions: operators to be run as others, for the observer to look inside.

    Raises:
        Unknown: float64 is impossible; the reason names the operator or the module. Also whatever else
            stops the forward: it runs in the module's own dtype.
        parity.worker.problems.Unable: the module returned something that holds no tensors.
    """
    kwargs = dict(kwargs or {})
    inputs: list[Tensor] = list(leaves((list(args), kwargs), Tensor))
    native = native or native_dtype(module, inputs)
    stack = ModuleStack(module)
    with ExitStack() as cleanup:
        cleanup.enter_context(_torch_settings(observing=observe is not None))
        loan = _borrow(module, inputs, cleanup)
        raising = Raising(native, loan, stack, observe, decompositions or {})
        if observe is not None:  # at the sight of a hook, some layers leave their fused path
            cleanup.enter_context(stack.following())
        appearing = Appearing(native, loan)
        with raising, appearing:
            result = _forward(module, args, kwargs, raising)
        outputs = {path: _settled(path, leaf) for path, leaf in flatten(result).items()}
    return Result64(outputs, native, tuple(raising.random_ops), appearing.autocast)


def _borrow(module: nn.Module, inputs: list[Tensor], cleanup: ExitStack) -> Loan:
    """Raises all that the module and the inputs hold, and has it given back at the end."""
    snapshot = Snapshot(module)
    cleanup.callback(snapshot.restore)
    loan = Loan()
    cleanup.callback(loan.give_back)
    held = [*snapshot.tensors, *inputs]
    if any(tensor.is_inference() for tensor in held):  # their copies can't be used outside of this mode
        cleanup.enter_context(torch.inference_mode())
    loan.adopt(held)
    return loan


def _forward(module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any], raising: Raising) -> object:
    try:
        result: object = module(*args, **kwargs)
    except Unknown:
        raise
    except Exception as error:
        words = str(error).strip().splitlines()
        said = f": {words[0]}" if words else ""
        raise Unknown(f"{type(error).__name__} in float64 at {raising.current}{said}") from error
    if raising.unknown is not None:  # the model caught it, and went on with something else
        raise raising.unknown
    return result


def _settled(path: str, leaf: Leaf) -> Leaf:
    """The output as a tensor of its own: an input that was handed through gets its own data back."""
    if isinstance(leaf, Tensor):
        # Only a tensor that no operator ever touched is still low; raising it loses nothing.
        return leaf.detach().to(RAISED.get(leaf.dtype, leaf.dtype))
    if leaf.dtype in (np.float32, np.float16, np.complex64):
        raise Unknown(f"the output {path!r} is a NumPy array of {leaf.dtype}, computed outside of PyTorch")
    return leaf


@contextmanager
def _torch_settings(*, observing: bool) -> Iterator[None]:
    """float64 by default, no autocast, no compiled code, untouched random generators.

    For an observer, attention and encoder layers are computed as the exporters write them: as matrix products
    and a softmax, not by fused kernels.
    """
    default = torch.get_default_dtype()
    with ExitStack() as settings:
        settings.callback(torch.set_default_dtype, default)
        settings.enter_context(torch.random.fork_rng(random_devices()))
        settings.enter_context(torch._C._DisableAutocast())
        if observing:
            settings.enter_context(sdpa_kernel(SDPBackend.MATH))
        else:
            settings.enter_context(fused_layers())
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes seconds
            settings.enter_context(torch.compiler.set_stance("force_eager"))
        torch.set_default_dtype(torch.float64)
        yield
