from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch
from support.reference import unable

from parity.worker.tensors import to_numpy, to_torch

CPU = torch.device("cpu")
PLAIN = [
    *(torch.float16, torch.float32, torch.float64, torch.bool, torch.complex64),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
]
EXTENDED = [
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2,
    torch.float8_e5m2fnuz,
]


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", PLAIN + EXTENDED, ids=str)
def test_every_dtype_survives_both_ways_bit_for_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.arange(np.prod(shape, dtype=int)).reshape(shape).to(torch.float32).to(dtype)

    array = to_numpy(tensor)
    back = to_torch(array, CPU)

    assert array.shape == shape
    assert array.dtype.name == str(dtype).removeprefix("torch.")
    assert back.dtype == dtype
    assert to_numpy(back).tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", EXTENDED, ids=str)
def test_the_values_of_narrow_floats_are_those_of_pytorch(dtype: torch.dtype) -> None:
    tensor = torch.tensor([0.5, -1.75, 3.1]).to(dtype)

    np.testing.assert_array_equal(to_numpy(tensor).astype(np.float32), tensor.to(torch.float32).numpy())


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 3).T,
        torch.ones(2, 3, requires_grad=True),
        torch.nn.Parameter(torch.ones(2, 3)),
        torch.ones(2, 3).to_sparse(),
        torch.ones(4, 6)[::2, ::2],
        torch.ones(2, 3).expand(2, 3),
        torch.ones(2, 3, dtype=torch.complex64).conj(),
    ],
    ids=["transposed", "grad", "parameter", "sparse", "strided", "expanded", "conjugate"],
)
def test_unusual_tensors_are_read(tensor: torch.Tensor) -> None:
    array = to_numpy(tensor)

    assert (array == 1).all()
    assert array.flags["C_CONTIGUOUS"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_tensors_are_dequantized() -> None:
    tensor = torch.quantize_per_tensor(torch.tensor([0.0, 1.0]), 0.5, 0, torch.quint8)

    np.testing.assert_array_equal(to_numpy(tensor), np.array([0, 1], np.float32))


def test_a_subclass_of_tensor_is_read_as_a_tensor() -> None:
    class Points(torch.Tensor):
        pass

    assert to_numpy(torch.ones(2).as_subclass(Points)).tolist() == [1, 1]


def test_a_nested_tensor_has_no_shape() -> None:
    nested = torch.nested.nested_tensor([torch.ones(1), torch.ones(2)], layout=torch.jagged)

    assert "nested" in unable(lambda: to_numpy(nested, "boxes")).problem


def test_a_tensor_without_data_is_refused() -> None:
    assert "meta" in unable(lambda: to_numpy(torch.ones(2, device="meta"), "x")).problem


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_a_dtype_that_numpy_has_not_is_named() -> None:
    error = unable(lambda: to_numpy(torch.ones(2, dtype=torch.complex32), "spectrum"))
    assert "'spectrum' has the dtype complex32" in error.problem


@pytest.mark.parametrize("array", [np.array(["a"]), np.zeros(2, ml_dtypes.int4)], ids=["string", "int4"])
def test_an_input_that_pytorch_can_not_hold_is_named(array: np.ndarray) -> None:
    error = unable(lambda: to_torch(array, CPU, "label"))

    assert error.reason == "input"
    assert "'label'" in error.problem


def test_a_tensor_owns_its_memory() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False

    to_torch(array, CPU).add_(1)

    assert array.tolist() == [0, 0, 0]
