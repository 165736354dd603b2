"""Measured differences against stated tolerances: pure, and closed to whatever can't be measured.

`tolerances` finds the rule of each output, `criteria` checks a measurement, `outputs` brings them together.
"""

from .outputs import compare_outputs, judge_output
from .tolerances import applied, resolve_tolerances

__all__ = ["applied", "compare_outputs", "judge_output", "resolve_tolerances"]
