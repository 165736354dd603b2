"""Layers of PyTorch with ways of their own: all of them in float64, close to what they give in float32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, rnn
from torch.utils.checkpoint import checkpoint

from parity.diagnosis.torch64 import Observation, evaluate64
from parity.worker.flattening import flatten


class Encoder(nn.Module):
    """With padding: of nested tensors, the fused path gives zeros there."""

    def __init__(self, *, nested: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)

    def forward(self, x: Tensor) -> Tensor:
        lengths = torch.tensor([8, 6, 7, 8])
        return self.encoder(x, src_key_padding_mask=torch.arange(8)[None] >= lengths[:, None])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.attention(x, x, x)


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(16, 8, 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        packed = rnn.pack_padded_sequence(x, torch.tensor([8, 7, 6, 5]), batch_first=True)
        return rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]


class Checkpointed(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(super().forward, x, use_reentrant=False)


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        window = torch.hann_window(32)
        return torch.stft(x.reshape(4, -1), 32, window=window, return_complex=True).abs()


class ComplexRotary(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        angles = torch.outer(torch.arange(8), 1.0 / 100.0 ** (torch.arange(0, 16, 2).float() / 16))
        turned = torch.view_as_complex(x.float().reshape(4, 8, 8, 2)) * torch.polar(torch.ones(8, 8), angles)
        return torch.view_as_real(turned).flatten(2).type_as(x)


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("laplacian", (torch.eye(8) / 3).to_sparse())

    def forward(self, x: Tensor) -> Tensor:
        return torch.sparse.mm(self.laplacian, x[0])


class Mapped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda each: each @ each.T / 3)(x)


LAYERS = {
    "encoder": Encoder,
    "padded encoder": lambda: Encoder(nested=False),
    "attention": Attention,
    "packed lstm": Packed,
    "projected lstm": lambda: nn.LSTM(16, 8, proj_size=4),
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(16, 4)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(16, 4)),
    "checkpoint": lambda: Checkpointed(16, 4),
    "spectrum": Spectrum,
    "complex rotary": ComplexRotary,
    "sparse": Sparse,
    "vmap": Mapped,
    "rms norm": lambda: nn.RMSNorm(16),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_close_to_float32(name: str) -> None:
    torch.manual_seed(0)
    module = LAYERS[name]().eval()
    x = torch.randn(4, 8, 16)
    with torch.no_grad():
        reference = flatten(module(x))
        outputs = evaluate64(module, [x]).outputs
    for path, expected in reference.items():
        assert outputs[path].dtype is torch.float64
        error = (outputs[path] - expected.double()).abs().max().item()
        assert 0 < error <= 2e-5 * expected.abs().max().item()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_an_observer_sees_inside_an_encoder_layer() -> None:
    seen: list[Observation] = []
    module, x = Encoder().eval(), torch.randn(4, 8, 16)
    with torch.no_grad():
        plain = evaluate64(module, [x], observe=seen.append).outputs["output"]
        fused = evaluate64(module, [x]).outputs["output"]
    assert {"encoder.layers.0.linear1", "encoder.layers.1.self_attn"} <= {each.module_path for each in seen}
    torch.testing.assert_close(plain[0], fused[0], rtol=1e-12, atol=1e-12)
    assert torch.all(fused[1, 6:] == 0)
    assert torch.all(plain[1, 6:] != 0)


def test_compiled_modules_run_as_written() -> None:
    module = nn.Sequential(nn.Linear(16, 16), nn.GELU())
    x = torch.randn(4, 16)
    compiled = torch.compile(module, backend="eager")
    expected = evaluate64(module, [x]).outputs["output"]
    seen: list[Observation] = []
    assert torch.equal(evaluate64(compiled, [x], observe=seen.append).outputs["output"], expected)
    assert seen[-1].module_path == "1"
