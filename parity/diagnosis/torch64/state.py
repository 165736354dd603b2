"""What a module holds, raised to float64 for a while and given back as it was, bit by bit."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from .dtypes import RAISED, as_usual
from .unknown import Unknown

_CONTAINERS = (dict, list, set, deque)


class Loan:
    """Tensors whose data are replaced by float64 copies until `give_back`.

    A tensor keeps its identity: only its `data` are exchanged, so that ties, lists of parameters and whatever
    else refers to it see the raised values. Tensors that share memory share it when raised. Tensors that are
    no float are copied too: the evaluation may change them (a batch counter, a cache).
    """

    def __init__(self) -> None:
        self._lent: dict[int, tuple[Tensor, Tensor]] = {}  # id -> the tensor, its own data

    def adopt(self, tensors: Iterable[Tensor]) -> None:
        """Replaces the data of each tensor that is not lent yet.

        Raises:
            Unknown: a tensor can't be raised: it is quantized, or of a subclass with a life of its own.
        """
        with as_usual():
            self._adopt(tensors)

    def _adopt(self, tensors: Iterable[Tensor]) -> None:
        groups: dict[object, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            if id(tensor) in self._lent:
                continue
            own = _own_data(tensor)
            self._lent[id(tensor)] = (tensor, own)
            shares = own.layout is torch.strided and not own.is_conj() and not own.is_neg() and own.numel()
            groups[(own.untyped_storage()._cdata, own.dtype) if shares else id(tensor)].append(tensor)
        for key, group in groups.items():
            if isinstance(key, tuple):
                self._raise_sharing(group)
            else:
                tensor = group[0]
                own = self._lent[id(tensor)][1]
                tensor.data = own.to(RAISED.get(own.dtype, own.dtype), copy=True)

    def _raise_sharing(self, tensors: list[Tensor]) -> None:
        """Raises tensors of one storage over the span that they cover, so that they overlap as before."""
        owns = [self._lent[id(tensor)][1] for tensor in tensors]
        start = min(own.storage_offset() for own in owns)
        end = max(own.storage_offset() + _extent(own) for own in owns)
        span = owns[0].as_strided((end - start,), (1,), start)
        raised = span.to(RAISED.get(span.dtype, span.dtype), copy=True)
        for tensor, own in zip(tensors, owns, strict=True):
            tensor.data = raised.as_strided(own.shape, own.stride(), own.storage_offset() - start)

    def own_dtypes(self) -> Iterator[tuple[Tensor, torch.dtype]]:
        """Every lent tensor with the dtype that it has of its own."""
        return ((tensor, own.dtype) for tensor, own in self._lent.values())

    def own_dtype(self, tensor: Tensor) -> torch.dtype:
        """The dtype that a lent tensor has of its own."""
        return self._lent[id(tensor)][1].dtype

    def give_back(self) -> None:
        """Every tensor has its own data again."""
        for tensor, own in self._lent.values():
            tensor.data = own
        self._lent.clear()


class Snapshot:
    """The attributes of every module of a tree, and the dicts, lists and sets that hang on them.

    A forward may keep what it made (a cache, the last features); `restore` takes it away again. The
    containers stay the same objects. Objects that are neither modules nor containers are left alone.
    """

    def __init__(self, root: nn.Module) -> None:
        self.tensors: list[Tensor] = []
        self._containers: list[tuple[Any, Any]] = []
        self._walk(root)

    def _walk(self, root: nn.Module) -> None:
        pending: list[Any] = [root]
        seen: set[int] = set()
        while pending:
            node = pending.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, torch.jit.ScriptModule):
                raise Unknown(f"{_script_name(node)} is a TorchScript module: its casts can't be raised")
            if isinstance(node, nn.Module):
                pending.append(vars(node))
            elif isinstance(node, Tensor):
                self.tensors.append(node)
            elif isinstance(node, _CONTAINERS):
                self._containers.append((node, node.copy()))
                pending.extend(node.values() if isinstance(node, dict) else node)
            elif isinstance(node, tuple | frozenset):
                pending.extend(node)

    def restore(self) -> None:
        """Puts back what was changed, and leaves alone what was not."""
        for container, before in self._containers:
            if _same(container, before):
                continue
            container.clear()
            if isinstance(container, list | deque):
                container.extend(before)
            else:
                container.update(before)


def _same(container: Any, before: Any) -> bool:
    """Whether the very same objects are held in the same order."""
    if len(container) != len(before):
        return False
    now, then = (_members(each) for each in (container, before))
    return all(a is b for a, b in zip(now, then, strict=True))


def _members(container: Any) -> Iterable[Any]:
    if isinstance(container, MutableMapping):
        return [part for item in container.items() for part in item]
    return cast("Iterable[Any]", container)


def _own_data(tensor: Tensor) -> Tensor:
    if tensor.is_quantized:
        raise Unknown(f"a tensor is quantized ({tensor.dtype}): what it stands for has no float64")
    if tensor.is_mkldnn:
        raise Unknown("a tensor has the oneDNN layout, which has no float64")
    wrapped: bool = is_traceable_wrapper_subclass(tensor)
    if wrapped:
        raise Unknown(f"a tensor is a {type(tensor).__name__}, whose content can't be raised")
    return tensor.data


def _extent(tensor: Tensor) -> int:
    """Elements from the first to the last in memory."""
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _script_name(module: torch.jit.ScriptModule) -> str:
    return str(getattr(module, "original_name", None) or type(module).__name__)
