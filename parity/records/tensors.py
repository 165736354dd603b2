"""Records of tensors: what an ONNX file declares, what lies in the run directory, and what a call takes."""

from __future__ import annotations

from typing import Literal, dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records: immutable, made by keyword, no unknown field when decoded."""


Form = Literal["tensor", "optional", "collection"]
"""What a value is: a tensor; a tensor or nothing; or any number of tensors, in sequences and maps."""


class TensorRecord(Record):
    """One tensor in the run directory. `parity.artifacts` writes and reads it.

    `dtype` is the ONNX name in lower case: ``float32``, ``bfloat16``, ``float8_e4m3fn``, ``int4``,
    ``bool``, ``string``, ...
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    sha256: str = ""  # of dtype, shape and bytes; given for inputs, empty for outputs


class ValueInfo(Record):
    """An input or output as an ONNX file declares it.

    `shape` holds a number for a fixed axis, a name for a symbolic one, None for an unknown one;
    it is None as a whole when even the rank is unknown. The `dtype` of a collection is that of its tensors.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    form: Form = "tensor"


class InputSet(Record):
    """The inputs of one case, materialized once: both sides read these very bytes.

    `expected` are the outputs that were saved beside the inputs, in the order of the ONNX outputs; only a
    saved reference reads them.
    """

    id: str
    tensors: tuple[TensorRecord, ...]
    expected: tuple[TensorRecord, ...] = ()


class StageCall(Record):
    """One call of a component: what went in and what came out, in order. Each step of a loop is a call."""

    component: str
    index: int  # 0 for the first call of this component in this case
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]

    @property
    def subject(self) -> str:
        """Names the call in a case's id: ``voxel_encoder``, ``voxel_encoder#2`` for the second."""
        return self.component if self.index == 0 else f"{self.component}#{self.index + 1}"
