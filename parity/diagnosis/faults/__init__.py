"""Realistic single faults of ONNX files, planted to see who notices.

    sites = FAULTS["relu-dropped"]().sites(model)
    planted = FAULTS["relu-dropped"]().plant(model, choose(sites, seed=0))

Every fault is one small class in the module of its family: `weights` alters what comes from the checkpoint,
`attributes`, `operands` and `indices` the parameters of an operator, `structure` the operators themselves,
`wiring` what goes where, `precision` how exactly it is computed. `planting` has what they share, `graph` the
editing of a model.
"""

from .attributes import ATTRIBUTE_FAULTS
from .indices import INDEX_FAULTS
from .operands import OPERAND_FAULTS
from .planting import Fault, Planted, Site, choose, find_sites
from .precision import PRECISION_FAULTS
from .structure import STRUCTURE_FAULTS
from .weights import WEIGHT_FAULTS
from .wiring import WIRING_FAULTS

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for family in (
        WEIGHT_FAULTS,
        ATTRIBUTE_FAULTS,
        OPERAND_FAULTS,
        INDEX_FAULTS,
        STRUCTURE_FAULTS,
        WIRING_FAULTS,
        PRECISION_FAULTS,
    )
    for fault in family
}

__all__ = ["FAULTS", "Fault", "Planted", "Site", "choose", "find_sites"]
