"""The export leg's first divergence: the first node of the graph whose result is off on sound inputs."""

from .answers import Localization, Suspect
from .search import localize

__all__ = ["Localization", "Suspect", "localize"]
