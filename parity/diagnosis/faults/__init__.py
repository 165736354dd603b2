"""Realistic single faults of ONNX files, planted to see who notices.

    sites = FAULTS["relu-dropped"]().sites(model)
    planted = FAULTS["relu-dropped"]().plant(model, choose(sites, seed=0))

Every fault is one small class in the module of its family: `weights` alters what comes from the checkpoint,
`attributes` and `operands` alter the parameters of an operator, `structure` the operators themselves,
`precision` how exactly they compute. `planting` has what they share, `graph` the editing of a model.
"""

from .attributes import ATTRIBUTE_FAULTS
from .operands import OPERAND_FAULTS
from .planting import Fault, Planted, Site, choose, find_sites
from .precision import PRECISION_FAULTS
from .structure import STRUCTURE_FAULTS
from .weights import WEIGHT_FAULTS

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for family in (WEIGHT_FAULTS, ATTRIBUTE_FAULTS, OPERAND_FAULTS, STRUCTURE_FAULTS, PRECISION_FAULTS)
    for fault in family
}

__all__ = ["FAULTS", "Fault", "Planted", "Site", "choose", "find_sites"]
