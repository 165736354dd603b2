"""Which numbers a generated tensor's distribution takes, and whether its dtype can hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from parity.records.jobs import Distribution
from parity.spec.inputs import DistributionName, TensorSpec
from parity.spec.messages import Finding
from parity.spec.places import Path

# Distribution -> the keys that apply to it.
_APPLICABLE: Mapping[DistributionName, tuple[str, ...]] = {
    "normal": ("mean", "std", "sparsity"),
    "uniform": ("low", "high", "sparsity"),
    "integers": ("low", "high", "sparsity"),
    "constant": ("value", "sparsity"),
    "zeros": (),
    "ones": ("sparsity",),
}
_NUMBERS = ("mean", "std", "low", "high", "value", "sparsity")

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
    given = {key: value for key in _NUMBERS if (value := getattr(tensor, key)) is not None}
    if tensor.dtype == "bool":
        given.setdefault("high", 2.0)
    shape = tuple(dims[size] if isinstance(size, str) else size for size in tensor.shape)
    return Distribution(name=name, shape=shape, dtype=tensor.dtype, distribution=distribution, **given)


def check_tensor(path: Path, tensor: TensorSpec) -> Iterator[Finding]:
    """What is wrong with one generated tensor."""
    distribution = distribution_of(tensor)
    if distribution is None:
        fix = "for example `distribution: integers, low: 0, high: 10` (or zeros, ones, constant)"
        yield Finding(path, f"a tensor of dtype {tensor.dtype} needs a 'distribution'", fix, on_key=True)
        return
    if distribution in {"normal", "uniform"} and "float" not in tensor.dtype:
        problem = f"the distribution {distribution!r} draws fractions, which {tensor.dtype} can't hold"
        yield Finding((*path, "distribution"), problem, "use the distribution 'integers'")
        return
    for key in _NUMBERS:
        if getattr(tensor, key) is not None and key not in _APPLICABLE[distribution]:
            takes = ", ".join(_APPLICABLE[distribution]) or "none"
            problem = f"{key!r} does not apply to the distribution {distribution!r}"
            yield Finding(
                (*path, key),
                problem,
                f"leave it out; of the numbers {distribution} takes {takes}",
                on_key=True,
            )
    if distribution == "constant" and tensor.value is None:
        yield Finding(
            path, "the distribution 'constant' needs a 'value'", "for example `value: 0.5`", on_key=True
        )
    if distribution == "integers" and tensor.high is None and tensor.dtype != "bool":
        yield Finding(
            path, "the distribution 'integers' needs 'high'", "for example `low: 0, high: 10`", on_key=True
        )
    if "high" in _APPLICABLE[distribution]:
        yield from _check_interval(path, tensor)
    yield from _check_range(path, tensor, whole=distribution == "integers")


def _check_interval(path: Path, tensor: TensorSpec) -> Iterator[Finding]:
    low = 0.0 if tensor.low is None else tensor.low
    high = (2.0 if tensor.dtype == "bool" else 1.0) if tensor.high is None else tensor.high
    if not low < high and (tensor.low is not None or tensor.high is not None):
        key = "low" if tensor.high is None else "high"
        problem = f"no value is at least {low:g} and below {high:g}"
        yield Finding((*path, key), problem, "make 'high' greater than 'low'", on_key=True)


def _check_range(path: Path, tensor: TensorSpec, *, whole: bool) -> Iterator[Finding]:
    """Whether the dtype holds what is drawn: nothing wraps and nothing becomes infinite."""
    is_float = "float" in tensor.dtype
    least, greatest = _range(tensor.dtype)
    for key in ("mean", "std", "low", "high", "value"):
        value = getattr(tensor, key)
        if value is None:
            continue
        if (whole or not is_float) and not value.is_integer():
            yield Finding((*path, key), f"{value:g} is no whole number", "round it")
        elif not least <= (value - 1 if key == "high" and not is_float else value) <= greatest:
            problem = f"{value:g} is beyond {tensor.dtype}: its values are {least:g} to {greatest:g}"
            yield Finding((*path, key), problem, "change it, or use a wider dtype")
        elif not is_float and abs(value) > _EXACT_INTEGERS:
            yield Finding(
                (*path, key), f"{value:g} is beyond 2^53", "give such inputs by 'files' or 'provider'"
            )


def _range(dtype: str) -> tuple[float, float]:
    if dtype == "bool":
        return 0, 1
    if "float" in dtype:
        largest = _LARGEST_FLOAT.get(dtype, float("inf"))
        return -largest, largest
    bits = int(dtype.lstrip("uint"))
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
