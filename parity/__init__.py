"""Tells whether an ONNX model still computes what the PyTorch model computes, and why not."""

__version__ = "0.1.0"
