from __future__ import annotations

from pathlib import Path

import pytest
from support.reference import unable

from parity.worker.inputs.provider import provided_sets

HEAD = "import numpy as np\nimport torch\n"


def provided(root: Path, source: str, samples: int | None = None) -> list[dict[str, object]]:
    (root / "data.py").write_text(HEAD + source)
    return [dict(one) for one in provided_sets("data.py:samples", root, samples)]


def test_tensors_arrays_and_numbers_are_taken(tmp_path: Path) -> None:
    source = """
def samples():
    yield {"t": torch.ones(2, dtype=torch.bfloat16), "a": np.arange(3), "f": 0.5, "i": 2, "b": True,
           "n": np.float16(1), "s": np.array(["car"])}
"""
    (one,) = provided(tmp_path, source)

    assert {name: array.dtype.name.rstrip("0123456789") for name, array in one.items()} == {  # type: ignore[attr-defined]
        "t": "bfloat",
        "a": "int",
        "f": "float",
        "i": "int",
        "b": "bool",
        "n": "float",
        "s": "str",
    }


@pytest.mark.parametrize(
    "source",
    [
        "def samples():\n    while True: yield {'x': torch.ones(1)}",
        "def samples(): return [{'x': torch.ones(1)}] * 5",
        "class samples:\n    def __getitem__(self, i): return {'x': torch.ones(1)}\n"
        "    def __iter__(self): return (self[i] for i in range(9))",
    ],
    ids=["endless", "list", "dataset"],
)
def test_no_more_is_taken_than_was_asked_for(tmp_path: Path, source: str) -> None:
    assert len(provided(tmp_path, source, samples=3)) == 3


def test_it_may_end_by_itself(tmp_path: Path) -> None:
    source = "def samples():\n    for i in range(4): yield {'x': i}"
    assert len(provided(tmp_path, source)) == 4


def test_fewer_than_asked_for_are_no_less_than_all(tmp_path: Path) -> None:
    """A loader that ends early would pass on what is left."""
    source = "def samples():\n    for i in range(4): yield {'x': i}"
    error = unable(lambda: provided(tmp_path, source, samples=9))
    assert error.reason == "input"
    assert "yielded 4 of the 9 input sets" in error.problem
    assert "leave `samples` out" in error.fix


@pytest.mark.parametrize(
    ("source", "reason", "said"),
    [
        ("def samples(): return iter(())", "input", "yielded no input set"),
        ("def samples(): pass", "input", "returned None"),
        ("def samples(): return {'x': torch.ones(1)}", "input", "returned an object of type dict"),
        ("def samples(): return torch.ones(3)", "input", "returned an object of type Tensor"),
        ("def samples(): yield torch.ones(3)", "input", "input set 0: it is an object of type Tensor"),
        ("def samples(): yield {'x': 1}; yield None", "input", "input set 1: it is None"),
        ("def samples(): yield {}", "input", "the dict is empty"),
        ("def samples(): yield {0: torch.ones(1)}", "input", "the key 0 is no string"),
        ("def samples(): yield {'x': [1, 2]}", "input", "'x' is an object of type list"),
        ("def samples(): yield {'x': np.array([{}])}", "input", "'x' is an array of dtype object"),
        (
            "def samples(): yield {'x': 1}; 1 / 0",
            "user-code",
            "ZeroDivisionError while asking data.py:samples",
        ),
        ("def samples(): raise SystemExit(0)", "user-code", "sys.exit(0)"),
        ("def samples(n): yield {}", "user-code", "missing 1 required positional argument: 'n'"),
    ],
)
def test_what_is_no_input_set_is_named(tmp_path: Path, source: str, reason: str, said: str) -> None:
    error = unable(lambda: provided(tmp_path, source))

    assert error.reason == reason
    assert said in error.problem
