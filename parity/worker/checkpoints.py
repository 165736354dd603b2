"""Loading a checkpoint into a module: nothing in the file is executed, and every key must fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from parity.worker.checkpoint_files import read_checkpoint
from parity.worker.checkpoint_report import keys_differ, misfits, report
from parity.worker.problems import Unable, user_code

# Where trainers put the state dict of the model, and what wrappers put before its keys.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")

_State = dict[str, Any]


def load_checkpoint(module: torch.nn.Module, path: Path, key: str | None) -> tuple[str, ...]:
    """Loads the file into the module, strictly. Returns what a user should know of it.

    A state dict is found by itself in the usual layouts. A prefix of its keys, as wrappers (`DataParallel`,
    `torch.compile`) and Lightning's modules put one, is stripped if, and only if, that makes all keys match.
    What a training module has beside the model, a loss with weights for instance, is left out and noted.

    Args:
        module: gets the values; on the CPU.
        path: a .safetensors file, or one that `torch.save` made (.pth, .pt, .ckpt).
        key: where in the file the state dict is, joined by dots; or a prefix of its keys.

    Raises:
        Unable: the file can't be read safely, or its keys, shapes or dtypes are not the module's.
    """
    data = read_checkpoint(path)
    candidates = list(_candidates(_at_key(data, key, path) if key else data))
    if not candidates:
        raise Unable(
            "model",
            f"{path.name} holds no state dict, but {_contents(data)}",
            fix="save model.state_dict(), or name its place with 'checkpoint_key'",
        )
    expected = module.state_dict()
    state, notes = _choose(candidates, expected, path)
    return (*notes, *_load_strictly(module, _with_tied(state, expected), expected, path))


def _choose(candidates: list[_State], expected: _State, path: Path) -> tuple[_State, tuple[str, ...]]:
    """The state dict that is meant, and what was left out beside it."""
    exact = [state for state in candidates if not keys_differ(state, expected)]
    notes: tuple[str, ...] = ()
    if not exact:
        fitting = [
            (name, part)
            for state in candidates
            for name, part in _parts(state)
            if not keys_differ(part, expected) and not misfits(part, expected)
        ]
        exact = [part for _, part in fitting]
        notes = tuple(f"{path.name}: the model's weights are those under {name!r}" for name, _ in fitting)
    if len(exact) > 1:
        raise Unable(
            "model",
            f"{path.name} holds {len(exact)} state dicts that fit the model",
            fix="name the one to use with 'checkpoint_key'",
        )
    # A module may still know how to take other keys, those of its older versions for instance.
    return exact[0] if exact else min(candidates, key=lambda state: keys_differ(state, expected)), notes


def _with_tied(state: _State, expected: _State) -> _State:
    """With the keys that share their memory with one that is there: .safetensors keeps such a tensor once."""
    places: dict[tuple[Any, ...], str] = {}
    for key, own in expected.items():
        if key in state and _is_tensor(own) and not is_lazy(own):
            places.setdefault(_place(own), key)
    tied = {
        key: state[places[_place(own)]]
        for key, own in expected.items()
        if key not in state and _is_tensor(own) and not is_lazy(own) and _place(own) in places
    }
    return {**state, **tied}


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    # Empty tensors have no memory to share.
    own = id(tensor) if tensor.numel() == 0 else tensor.data_ptr()
    return (own, tensor.dtype, tensor.shape, tensor.stride())


def _load_strictly(module: torch.nn.Module, state: _State, expected: _State, path: Path) -> tuple[str, ...]:
    bad = misfits(state, expected)
    if bad:
        raise report(path, state, expected, detail="")
    ignored = [key for key, value in state.items() if key not in expected and not _is_tensor(value)]
    weights = {key: value for key, value in state.items() if key not in ignored}
    try:
        with user_code("loading the checkpoint into the model"):
            refused = module.load_state_dict(weights, strict=True)
    except Unable as error:
        if isinstance(error.__cause__, RuntimeError):
            raise report(path, weights, expected, detail=str(error.__cause__)) from error
        raise
    # A module's own load_state_dict may be lenient; the gate is not.
    if refused is not None and (refused.missing_keys or refused.unexpected_keys):
        raise report(path, weights, expected, detail=str(refused))
    return _notes(weights, expected, ignored, path)


def _notes(weights: _State, expected: _State, ignored: list[str], path: Path) -> tuple[str, ...]:
    notes = []
    if ignored:
        notes.append(f"{path.name}: entries that are no tensors were left out: {', '.join(ignored[:10])}")
    cast: dict[tuple[str, str], int] = {}
    for key, value in weights.items():
        if _is_tensor(value) and key in expected and value.dtype != expected[key].dtype:
            pair = (str(value.dtype), str(expected[key].dtype))
            cast[pair] = cast.get(pair, 0) + 1
    for (saved, own), count in cast.items():
        notes.append(f"{path.name}: {count} tensors saved as {saved} were cast to the model's {own}")
    return tuple(notes)


def _candidates(data: object) -> Iterator[_State]:
    """Every state dict that the data may be meant as: itself or what a wrapper holds, prefixes on and off."""
    if not isinstance(data, Mapping):
        return
    if any(_is_tensor(value) for value in data.values()):
        state = {str(key): value for key, value in data.items()}
        yield state
        yield from _without_prefixes(state)
    for wrapper in _WRAPPERS:
        yield from _candidates(data.get(wrapper))


def _without_prefixes(state: _State) -> Iterator[_State]:
    """Without the first name that all keys have in common, and again without the next one."""
    prefixes = {key.partition(".")[0] for key, value in state.items() if _is_tensor(value)}
    if len(prefixes) == 1 and all("." in key for key, value in state.items() if _is_tensor(value)):
        shorter = {key.removeprefix(f"{next(iter(prefixes))}."): value for key, value in state.items()}
        yield shorter
        yield from _without_prefixes(shorter)


def _parts(state: _State) -> Iterator[tuple[str, _State]]:
    """The tensors under each first name of the keys, also without what wrappers put before them."""
    parts: dict[str, _State] = {}
    for key, value in state.items():
        name, dot, rest = key.partition(".")
        if dot and _is_tensor(value):
            parts.setdefault(name, {})[rest] = value
    for name, part in parts.items():
        yield name, part
        yield from ((name, shorter) for shorter in _without_prefixes(part))


def _at_key(data: object, key: str, path: Path) -> object:
    """At ``a.b``: the entry of that name, ``b`` in the entry ``a``, or all keys that begin ``a.b.``."""
    if isinstance(data, Mapping):
        if key in data:
            return data[key]
        head, _, rest = key.partition(".")
        if rest and isinstance(data.get(head), Mapping):
            return _at_key(data[head], rest, path)
        part = {k.removeprefix(f"{key}."): v for k, v in data.items() if str(k).startswith(f"{key}.")}
        if part:
            return part
    raise Unable(
        "model",
        f"{path.name} has nothing at the checkpoint_key {key!r}, but {_contents(data)}",
        fix="name one of these",
    )


def _contents(data: object) -> str:
    if not isinstance(data, Mapping):
        return f"an object of type {type(data).__qualname__}"
    names = [str(key) for key in data]
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"the keys {', '.join(names[:10])}{more}" if names else "an empty dict"


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
