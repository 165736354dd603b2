"""ONNX Runtime's execution providers: short names, full names, and the devices that they run on."""

from __future__ import annotations

SUFFIX = "ExecutionProvider"

# Short name in `onnxruntime+NAME@DEVICE` -> the name that ONNX Runtime has for it.
PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "nv-tensorrt-rtx": "NvTensorRTRTXExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "nnapi": "NnapiExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "vitisai": "VitisAIExecutionProvider",
    "acl": "ACLExecutionProvider",
    "armnn": "ArmNNExecutionProvider",
    "cann": "CANNExecutionProvider",
    "azure": "AzureExecutionProvider",
}
# Those whose tensors lie on a GPU that PyTorch calls cuda:N. All others take them from the host: write cpu.
_ON_CUDA = frozenset(PROVIDERS[name] for name in ("cuda", "tensorrt", "nv-tensorrt-rtx", "rocm", "migraphx"))


def short_name(provider: str) -> str:
    """``tensorrt`` of ``TensorrtExecutionProvider``; of one without a short name, the full name."""
    return next((short for short, full in PROVIDERS.items() if full == provider), provider)


def own_provider(device: str) -> str:
    """The provider of a device where none is named."""
    return PROVIDERS["cuda" if device.startswith("cuda") else "cpu"]


def runs_on(provider: str, device: str) -> bool:
    """Whether a provider can be asked for on a device; unknown ones on any."""
    if provider not in PROVIDERS.values():
        return True
    return device.startswith("cuda") == (provider in _ON_CUDA)
