"""The detector of the example: deeper stages, and a branch for the height."""

_base_ = ["./_base_/pillars.py"]

model = {
    "backbone": {"layers": [2, 2]},
    "head": {"branches": {"height": 1}},
}
