"""Every operator that is evaluated here, by name. One module for each family.

`TENSOR` operators take PyTorch tensors, all on one device, and `None` for an omitted input; `ANY` operators
take values of any kind; `CONTROL` operators run subgraphs. An operator in none of them is evaluated by the
function that its specification defines it by, or by `onnx.reference`.
"""

from __future__ import annotations

from collections.abc import Mapping

from parity.diagnosis.onnx64.operators import (
    activations,
    casting,
    containers,
    control,
    convolution,
    elementwise,
    indexing,
    layout,
    linear,
    normalization,
    pooling,
    quantization,
    randomness,
    recurrent,
    reductions,
    resizing,
)
from parity.diagnosis.onnx64.operators.casting import AnyOperator
from parity.diagnosis.onnx64.operators.control import Control
from parity.diagnosis.onnx64.operators.elementwise import Operator

TENSOR: Mapping[str, Operator] = {
    **activations.OPERATORS,
    **convolution.OPERATORS,
    **elementwise.OPERATORS,
    **indexing.OPERATORS,
    **layout.OPERATORS,
    **linear.OPERATORS,
    **normalization.OPERATORS,
    **pooling.OPERATORS,
    **quantization.OPERATORS,
    **recurrent.OPERATORS,
    **reductions.OPERATORS,
    **resizing.OPERATORS,
}
ANY: Mapping[str, AnyOperator] = {**containers.OPERATORS, **randomness.OPERATORS, **casting.OPERATORS}
CONTROL: Mapping[str, Control] = control.OPERATORS
