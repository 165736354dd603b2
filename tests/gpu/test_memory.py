"""What a case takes of the device's memory is given back before the next one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.projects import Project

pytestmark = pytest.mark.cuda_only

# Reports what the whole device has free at the start of every forward.
LISTENING = """
import pathlib
import torch
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(1))
    def forward(self, x):
        free, _ = torch.cuda.mem_get_info(x.device)
        with pathlib.Path("free.txt").open("a") as file:
            print(x.numel(), free, file=file)
        return torch.cat([x, x * self.scale, x], dim=1).relu()
def build(): return Model()
"""


def test_a_large_case_leaves_nothing_behind(tmp_path: Path, device: str) -> None:
    made = Project(tmp_path)
    (tmp_path / "model.py").write_text(LISTENING)
    tensor = {"shape": ["n", 1024, 1024], "dtype": "float32", "distribution": "constant", "value": 1.0}
    done = made.run(
        devices=[device],
        onnx={
            "path": "exported.onnx",
            "export": {"exporter": "torchscript", "opset": 18, "dynamic_shapes": {"x": {0: "n"}}},
        },
        inputs={"dims": {"n": [1, 512, 2]}, "tensors": {"x": tensor}},
        diagnose="never",
    )

    assert done.status == 0, done.stdout + done.stderr
    seen = [tuple(map(int, line.split())) for line in (tmp_path / "free.txt").read_text().splitlines()]
    small = [free for numel, free in seen if numel == 1 << 20]
    after_large = [free for numel, free in seen if numel == 2 << 20]
    # The large case's tensors are 2 GiB in and 6 GiB out; what libraries load stays, which is far less.
    assert min(after_large) > min(small) - (1 << 30)
