"""What operators do, as far as both sides must agree on it."""

from __future__ import annotations

from parity.diagnosis.tracing import TracedOp


def _names(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# ONNX operators that only move, choose or repeat elements.
LAYOUT = _names(
    "Reshape Flatten Squeeze Unsqueeze Identity Transpose Cast CastLike Slice Split Gather GatherElements",
    "GatherND Concat Expand Tile Pad DepthToSpace SpaceToDepth Dropout",
)

# PyTorch shows what these give in another layout only, element for element; it is theirs by definition.
OWN_LAYOUT = _names("LSTM GRU RNN")

TORCH_PERMUTING = _names("transpose permute t movedim numpy_T")

# The same as `LAYOUT` of PyTorch, by the name without overload and underscores at its ends.
TORCH_LAYOUT = _names(
    "view reshape unsafe_view flatten squeeze unsqueeze expand expand_as transpose permute t movedim numpy_T",
    "clone contiguous alias detach to to_copy lift_fresh copy dropout slice select narrow split unsafe_split",
    "split_with_sizes unbind chunk cat stack gather index index_select repeat flip roll unfold as_strided",
    "pixel_shuffle pixel_unshuffle constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d",
    "replication_pad1d replication_pad2d replication_pad3d",
)

_PRODUCTS = "mm bmm matmul addmm baddbmm linear mv dot addmv einsum"
_CONVOLUTIONS = "convolution mkldnn_convolution cudnn_convolution conv1d conv2d conv3d"
_MOMENTS = "var_mean mean var native_layer_norm layer_norm native_batch_norm batch_norm cudnn_batch_norm"
_BY_OP = {
    "Conv": _CONVOLUTIONS,
    "ConvTranspose": _CONVOLUTIONS,
    "MatMul": _PRODUCTS,
    "Gemm": _PRODUCTS,
    "Add": "add sub addmm add_ sum",
    "Sub": "sub rsub add neg",
    "Mul": "mul div square pow",
    "Div": "div mul reciprocal",
    "Pow": "pow mul square sqrt rsqrt",
    "Sqrt": "sqrt rsqrt pow",
    "Relu": "relu clamp clamp_min threshold maximum",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Exp": "exp",
    "Log": "log",
    "Erf": "erf",
    "Softmax": "softmax amax",
    "LogSoftmax": "log_softmax amax logsumexp",
    "LayerNormalization": _MOMENTS,
    "InstanceNormalization": _MOMENTS,
    "GroupNormalization": _MOMENTS + " native_group_norm",
    "BatchNormalization": _MOMENTS + " native_batch_norm_legit native_batch_norm_legit_no_training sub",
    "MaxPool": "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices",
    "AveragePool": "avg_pool2d avg_pool1d avg_pool3d adaptive_avg_pool2d mean",
    "GlobalAveragePool": "adaptive_avg_pool2d mean avg_pool2d adaptive_avg_pool1d",
    "ReduceMean": "mean sum var_mean",
    "ReduceSum": "sum mean",
    "ReduceMax": "amax max",
}
_KINDS = {op: _names(names) for op, names in _BY_OP.items()}
_COMPUTING = frozenset().union(*_KINDS.values())


def torch_name(op: TracedOp) -> str:
    """``aten._softmax.default`` -> ``softmax``."""
    return op.op_type.split(".")[1].strip("_") if "." in op.op_type else op.op_type


def may_stand_for(node: TracedOp, op: TracedOp) -> bool | None:
    """Whether a PyTorch operator may be the start of what an ONNX node computes; None: not known."""
    name = torch_name(op)
    if node.op_type in LAYOUT:
        return True if name in TORCH_LAYOUT else False if name in _COMPUTING else None
    kinds = _KINDS.get(node.op_type)
    return None if kinds is None else name in kinds
