"""All architectures: those of transformers, and in plain PyTorch the networks that the tests use."""

from __future__ import annotations

from typing import Any

from support.architectures import ARCHITECTURES

from models.architecture import Architecture
from models.of_transformers import TRANSFORMERS


def _plain() -> tuple[Architecture, ...]:
    made = []
    for name, own in ARCHITECTURES.items():
        examples = own.example_inputs(own.__new__(own))
        tensors = {each: _described(value) for each, value in zip(own.input_names, examples, strict=True)}
        made.append(
            Architecture(
                f"plain-{name}",
                "plain PyTorch",
                {"target": "support.architectures:build", "args": {"name": name}},
                tensors,
                opset={"torchscript": own.opset, "dynamo": own.opset},
            )
        )
    return tuple(made)


def _described(example: Any) -> dict[str, Any]:
    """How such an input is generated. Ids stay below the greatest of the example; a mask hides nothing."""
    shape, dtype = list(example.shape), str(example.dtype).removeprefix("torch.")
    if dtype == "float32":
        return {"shape": shape, "dtype": dtype}
    if int(example.max()) <= 1:
        return {"shape": shape, "dtype": dtype, "distribution": "ones"}
    return {
        "shape": shape,
        "dtype": dtype,
        "distribution": "integers",
        "low": 0,
        "high": int(example.max()) + 1,
    }


def architectures() -> dict[str, Architecture]:
    """All of them by name."""
    return {each.name: each for each in (*TRANSFORMERS, *_plain())}
