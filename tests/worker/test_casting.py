"""Float inputs in the dtype that a file declares."""

from __future__ import annotations

import numpy as np

from parity.artifacts import dtype_name
from parity.records.tensors import ValueInfo
from parity.worker.casting import cast_feeds


def test_floats_are_rounded_and_nothing_else_is_touched() -> None:
    declared = [
        ValueInfo(name="half", dtype="float16", shape=(1,)),
        ValueInfo(name="brain", dtype="bfloat16", shape=(1,)),
        ValueInfo(name="same", dtype="float32", shape=(1,)),
        ValueInfo(name="index", dtype="int32", shape=(1,)),
    ]
    given = {
        "half": np.float32([0.1]),
        "brain": np.float32([0.1]),
        "same": np.float32([0.1]),
        "index": np.int64([3]),
        "unknown": np.float32([0.1]),
    }

    found = cast_feeds(given, declared)

    assert found["half"] == np.float16(0.1)
    assert dtype_name(found["brain"].dtype) == "bfloat16"
    assert float(found["brain"][0]) == 0.10009765625
    assert all(found[name] is given[name] for name in ("same", "index", "unknown"))
