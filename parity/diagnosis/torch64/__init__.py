"""`reference64`: the PyTorch module as it stands, on the same inputs, with every floating tensor in float64.

`evaluation` is the way in, `state` raises and restores what the module holds, `dispatch` raises what the
forward makes, `functions` keeps up the appearance of the module's own dtypes, `places` knows which module
and source line an operator belongs to.
"""

from .evaluation import Result64, evaluate64
from .observation import Observation, Observer
from .unknown import Unknown

__all__ = ["Observation", "Observer", "Result64", "Unknown", "evaluate64"]
