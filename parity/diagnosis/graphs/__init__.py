"""The graph of an ONNX file beside that of a fresh export: changes, each with the edit that takes it back."""
