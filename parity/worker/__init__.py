"""The only rooms that import torch and onnxruntime and run the user's code. One process, one side."""
