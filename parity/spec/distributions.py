"""Which keys a generated tensor's distribution takes, and whether its dtype can hold what is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from parity.records.inputs import Distribution, DistributionName, Padding
from parity.spec.inputs import TensorSpec
from parity.spec.messages import Finding
from parity.spec.places import Path

# Distribution -> the keys that apply to it.
_APPLICABLE: Mapping[DistributionName, tuple[str, ...]] = {
    "normal": ("mean", "std", "sparsity", "sorted"),
    "uniform": ("low", "high", "sparsity", "sorted"),
    "integers": ("low", "high", "sparsity", "sorted", "unique"),
    "constant": ("value", "sparsity"),
    "zeros": (),
    "ones": ("sparsity",),
    "mask": ("lengths", "pad"),
    "positions": ("of",),
    "lengths": ("of",),
    "arange": ("low",),
    "permutation": (),
    "one_hot": (),
    "offsets": ("high",),
    "choice": ("values", "sparsity", "sorted", "unique"),
    "boxes": ("low", "high"),
}
_KEYS = tuple(dict.fromkeys(key for keys in _APPLICABLE.values() for key in keys))
# Distribution -> the key that it can't do without, and how it may look.
_NEEDED: Mapping[DistributionName, tuple[str, str]] = {
    "constant": ("value", "`value: 0.5`"),
    "integers": ("high", "`low: 0, high: 10`"),
    "offsets": ("high", "`high: 100`"),
    "choice": ("values", "`values: [0, 1, 4]`"),
    "positions": ("of", "`of: attention_mask`"),
    "lengths": ("of", "`of: attention_mask`"),
}
_SYMBOLIC = ("low", "high", "value")
_FRACTIONS = {"normal", "uniform", "boxes"}
_ALONG_AN_AXIS = {"mask", "positions", "arange", "permutation", "one_hot", "offsets", "boxes"}

# The greatest finite value of each float that a Python float can go beyond.
_LARGEST_FLOAT = {
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38,
    "float8_e4m3fn": 448.0,
    "float8_e4m3fnuz": 240.0,
    "float8_e5m2": 57344.0,
    "float8_e5m2fnuz": 57344.0,
}
_EXACT_INTEGERS = 2**53  # bounds travel as float64


def distribution_of(tensor: TensorSpec) -> DistributionName | None:
    """The distribution that is given, or the dtype's own; None: an integer dtype has none."""
    if tensor.distribution is not None:
        return tensor.distribution
    if tensor.dtype == "bool":
        return "integers"
    return "normal" if "float" in tensor.dtype else None


def resolve(name: str, tensor: TensorSpec, dims: Mapping[str, int]) -> Distribution:
    """A checked tensor with its dimensions bound and its defaults filled in."""
    distribution = distribution_of(tensor)
    assert distribution is not None
    bound = with_sizes(tensor, dims)
    plain = [key for key in _KEYS if key not in {"lengths", "pad"}] + ["pad"]
    given = {key: value for key in plain if (value := getattr(bound, key)) is not None}
    if tensor.dtype == "bool" and distribution == "integers":
        given.setdefault("high", 2.0)
    if bound.lengths is not None:
        given |= {"min_length": bound.lengths.min, "max_length": bound.lengths.max}
    if bound.padding is not None:
        given["padding"] = Padding(mask=bound.padding.mask, value=bound.padding.value)
    shape = tuple(dims[size] if isinstance(size, str) else size for size in tensor.shape)
    return Distribution(name=name, shape=shape, dtype=tensor.dtype, distribution=distribution, **given)


def with_sizes(tensor: TensorSpec, dims: Mapping[str, int]) -> TensorSpec:
    """The tensor with numbers in the place of names of dimensions; the shape stays as it is."""
    sizes = {key: float(dims[value]) for key in _SYMBOLIC if isinstance(value := getattr(tensor, key), str)}
    lengths = tensor.lengths
    if lengths is not None:
        bounds = {
            key: dims[value] for key in ("min", "max") if isinstance(value := getattr(lengths, key), str)
        }
        lengths = lengths.model_copy(update=bounds)
    return tensor.model_copy(update={**sizes, "lengths": lengths})


def symbols_of(tensor: TensorSpec) -> Iterator[tuple[Path, str]]:
    """Names of dimensions in a tensor, each with the path to it."""
    for axis, size in enumerate(tensor.shape):
        if isinstance(size, str):
            yield ("shape", axis), size
    for key in _SYMBOLIC:
        if isinstance(value := getattr(tensor, key), str):
            yield (key,), value
    for key in ("min", "max"):
        if tensor.lengths is not None and isinstance(value := getattr(tensor.lengths, key), str):
            yield ("lengths", key), value


def check_tensor(path: Path, tensor: TensorSpec) -> Iterator[Finding]:
    """What is wrong with one generated tensor, whose names of dimensions are bound."""
    distribution = distribution_of(tensor)
    if distribution is None:
        fix = "for example `distribution: integers, low: 0, high: 10` (or zeros, ones, constant)"
        yield Finding(path, f"a tensor of dtype {tensor.dtype} needs a 'distribution'", fix, on_key=True)
        return
    if distribution in _FRACTIONS and "float" not in tensor.dtype:
        problem = f"the distribution {distribution!r} draws fractions, which {tensor.dtype} can't hold"
        yield Finding((*path, "distribution"), problem, "use the distribution 'integers'")
        return
    for key in _KEYS:
        if getattr(tensor, key) is not None and key not in _APPLICABLE[distribution]:
            takes = ", ".join(_APPLICABLE[distribution]) or "none"
            problem = f"{key!r} does not apply to the distribution {distribution!r}"
            fix = f"leave it out; of these keys {distribution} takes {takes}"
            yield Finding((*path, key), problem, fix, on_key=True)
    needed, example = _NEEDED.get(distribution, ("dtype", ""))
    if getattr(tensor, needed) is None and not (distribution == "integers" and tensor.dtype == "bool"):
        problem = f"the distribution {distribution!r} needs {_a(needed)}"
        yield Finding(path, problem, f"for example {example}", on_key=True)
    if not tensor.shape and (distribution in _ALONG_AN_AXIS or tensor.sorted or tensor.unique):
        what = repr(distribution) if distribution in _ALONG_AN_AXIS else "'sorted' or 'unique'"
        yield Finding((*path, "shape"), f"{what} needs an axis", "give it a shape of at least one axis")
    if distribution == "boxes" and tensor.shape and tensor.shape[-1] != 4:
        yield Finding((*path, "shape"), "a box has 4 numbers: x1, y1, x2, y2", "make the last axis 4")
    if distribution in {"uniform", "integers", "boxes"}:
        yield from _check_interval(path, tensor)
    yield from _check_range(path, tensor, whole=distribution in {"integers", "arange", "offsets"})


def _a(key: str) -> str:
    return f"a {key!r}" if key == "value" else repr(key)


def _number(tensor: TensorSpec, key: str) -> float | None:
    value: float | str | None = getattr(tensor, key)
    assert not isinstance(value, str), "names of dimensions are bound before"
    return value


def _check_interval(path: Path, tensor: TensorSpec) -> Iterator[Finding]:
    low, high = _number(tensor, "low"), _number(tensor, "high")
    least = 0.0 if low is None else low
    below = (2.0 if tensor.dtype == "bool" else 1.0) if high is None else high
    if not least < below and (low is not None or high is not None):
        key = "low" if high is None else "high"
        problem = f"no value is at least {least:g} and below {below:g}"
        yield Finding((*path, key), problem, "make 'high' greater than 'low'", on_key=True)


def _check_range(path: Path, tensor: TensorSpec, *, whole: bool) -> Iterator[Finding]:
    """Whether the dtype holds what is drawn: nothing wraps and nothing becomes infinite."""
    for key in ("mean", "std", "low", "high", "value"):
        value = _number(tensor, key)
        below = key == "high" and tensor.distribution != "offsets"  # the least that is not drawn
        if value is not None:
            yield from _check_number((*path, key), value, tensor.dtype, whole=whole, below=below)
    for index, value in enumerate(tensor.values or ()):
        yield from _check_number((*path, "values", index), value, tensor.dtype, whole=False, below=False)
    if tensor.padding is not None:
        at = (*path, "padding", "value")
        yield from _check_number(at, tensor.padding.value, tensor.dtype, whole=False, below=False)


def _check_number(path: Path, value: float, dtype: str, *, whole: bool, below: bool) -> Iterator[Finding]:
    is_float = "float" in dtype
    least, greatest = _range(dtype)
    if (whole or not is_float) and not value.is_integer():
        yield Finding(path, f"{value:g} is no whole number", "round it")
    elif not least <= (value - 1 if below and not is_float else value) <= greatest:
        problem = f"{value:g} is beyond {dtype}: its values are {least:g} to {greatest:g}"
        yield Finding(path, problem, "change it, or use a wider dtype")
    elif not is_float and abs(value) > _EXACT_INTEGERS:
        yield Finding(path, f"{value:g} is beyond 2^53", "give such inputs by 'files' or 'provider'")


def _range(dtype: str) -> tuple[float, float]:
    if dtype == "bool":
        return 0, 1
    if "float" in dtype:
        largest = _LARGEST_FLOAT.get(dtype, float("inf"))
        return -largest, largest
    bits = int(dtype.lstrip("uint"))
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
