"""The ONNX graph's tensors matched with the PyTorch module's, and what follows from it."""

from .modules import module_errors
from .pairing import Match, Matches, match
from .placing import Place, places

__all__ = ["Match", "Matches", "Place", "match", "module_errors", "places"]
