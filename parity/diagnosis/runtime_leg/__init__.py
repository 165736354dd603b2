"""The runtime leg: why ONNX Runtime is less exact than the file it runs.

First a pass in float64 in which every node also runs alone in the runtime, on right inputs: what it adds by
itself is told from what it inherits. Then the file as a whole without graph optimization. A node that is off
is explained by reproducing its error, and blamed for the share that its error explains of the output's.
"""

from .backend import Backend, How, Run
from .diagnosing import diagnose_runtime

__all__ = ["Backend", "How", "Run", "diagnose_runtime"]
