from __future__ import annotations

import pytest

from parity.spec.places import Path, Places
from parity.spec.yaml_nodes import parse

TEXT = """\
version: 1
model:
  target: model.py:build
  args: {depth: {a: 1}}
onnx: model.onnx
devices: [cpu, "cuda:0"]
tolerances:
  preds.0: {atol: 1}
"""


@pytest.fixture
def places() -> Places:
    return Places("f.yml", parse(TEXT, "f.yml"))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("version",), (1, 1), (1, 10)),
        (("model",), (2, 1), (3, 3)),
        (("model", "target"), (3, 3), (3, 11)),
        (("model", "checkpoint"), (2, 1), (2, 1)),
        (("onnx", "path"), (5, 1), (5, 7)),
        (("devices", 1), (6, 16), (6, 16)),
        (("tolerances", "preds.0", "atol"), (8, 13), (8, 19)),
        (("absent",), (1, 1), (1, 1)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_keys_and_values(places: Places, path: Path, key: tuple[int, int], value: tuple[int, int]) -> None:
    assert places.key(path) == key
    assert places.value(path) == value


def test_a_place_is_found_only_where_the_file_has_it(places: Places) -> None:
    assert places.find(("model", "target")) == (3, 3)
    assert places.find(("model", "checkpoint")) is None
    assert places.find(("onnx", "path")) is None


def test_dotted_paths_leave_out_the_users_own_mappings(places: Places) -> None:
    assert places.dotted() == {
        "version": (1, 1),
        "model": (2, 1),
        "model.target": (3, 3),
        "model.args": (4, 3),
        "onnx": (5, 1),
        "devices": (6, 1),
        "devices.0": (6, 11),
        "devices.1": (6, 16),
        "tolerances": (7, 1),
        "tolerances.preds.0": (8, 3),
        "tolerances.preds.0.atol": (8, 13),
    }
