"""How far two tensors are apart: pure NumPy, in one pass and bounded memory, whatever their dtype."""

from .bounds import Bound, default_bound
from .measurement import measure

__all__ = ["Bound", "default_bound", "measure"]
