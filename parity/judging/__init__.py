"""Measured differences against stated tolerances: pure, and closed to whatever can't be measured.

`tolerances` finds the rule of each output, `criteria` checks a measurement, `noise` has the limits that are
multiples of a noise floor, `outputs` brings them together. `loops` judges the
steps of models with state, `performance` what a run costs.
"""

from .groups import match_groups
from .noise import Floors
from .outputs import compare_outputs, judge_output
from .tolerances import applied, resolve_tolerances

__all__ = ["Floors", "applied", "compare_outputs", "judge_output", "match_groups", "resolve_tolerances"]
