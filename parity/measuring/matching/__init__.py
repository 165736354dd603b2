"""Which row, value or decision of the candidate stands for which of the reference: pure NumPy.

`rows` matches rows of several tensors at once, `ordering` sorts values and lines up a top k, `grouped` does
either for the outputs of a group, `decisions` compares classes. They answer with positions; how far apart the
elements there are is measured as ever.
"""

from .alignment import Alignment, Side
from .candidates import TooAlike
from .decisions import Decisions, compare_decisions
from .grouped import Grouped, Sides, Unmatchable, align_group
from .ordering import TopK, align_sorted, align_topk
from .rows import Masks, align_rows

__all__ = [
    "Alignment",
    "Decisions",
    "Grouped",
    "Masks",
    "Side",
    "Sides",
    "TooAlike",
    "TopK",
    "Unmatchable",
    "align_group",
    "align_rows",
    "align_sorted",
    "align_topk",
    "compare_decisions",
]
