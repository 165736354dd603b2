"""The tensors of an ONNX file, looked up by value in the checkpoint."""
