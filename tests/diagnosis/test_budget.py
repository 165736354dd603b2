"""The budget on arrays: every leg, what makes one unknown, and which one is named."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from parity.artifacts import Array
from parity.diagnosis.budget import Results, diagnose, difference
from parity.records.diagnosis import Diagnosis

TRUTH = np.linspace(-4.0, 4.0, 9)
GREATEST = float(np.finfo(np.float32).max)


def of(
    reference: Any, candidate: Any, reference64: Any = TRUTH, candidate64: Any = TRUTH, **others: Any
) -> Diagnosis:
    """The diagnosis of sides that repeat themselves under strict numerics, unless `others` say otherwise."""
    results = {
        "reference_again": reference,
        "candidate_again": candidate,
        "strict": None,
        **others,
    }
    return diagnose(
        Results(
            reference=np.asarray(reference),
            candidate=np.asarray(candidate),
            reference64=reference64,
            candidate64=candidate64,
            **results,
        )
    )


def shifted(by: float, dtype: Any = np.float64) -> Array:
    return (TRUTH + by).astype(dtype)


class TestLegs:
    def test_each_leg_is_the_difference_of_its_two_sides(self) -> None:
        budget = of(shifted(1e-3), shifted(0.52), TRUTH, shifted(0.5), strict=shifted(2e-6)).budget

        assert budget.total == pytest.approx(0.519)
        assert budget.reference_rounding == pytest.approx(1e-3)
        assert budget.export_error == pytest.approx(0.5)
        assert budget.runtime_error == pytest.approx(0.02)
        assert budget.repeatability == 0.0
        assert budget.noise_floor == pytest.approx(2e-6)
        assert budget.unknown == {}

    def test_the_noise_floor_is_the_reference_rounding_where_numerics_are_strict(self) -> None:
        budget = of(shifted(1e-3), TRUTH).budget

        assert budget.noise_floor == budget.reference_rounding == pytest.approx(1e-3)

    @pytest.mark.parametrize("side", ["reference_again", "candidate_again"])
    def test_repeatability_is_the_larger_of_both_sides(self, side: str) -> None:
        other = {"reference_again", "candidate_again"} - {side}
        again = {side: shifted(0.25), other.pop(): shifted(0.125)}

        assert of(TRUTH, TRUTH, **again).budget.repeatability == 0.25

    @pytest.mark.parametrize(
        "dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int8, np.int64, np.complex64]
    )
    def test_every_dtype_is_subtracted_in_full(self, dtype: Any) -> None:
        one, other = np.array([1, 2, 3]).astype(dtype), np.array([1, 2, 5]).astype(dtype)

        assert difference(one, other).known == 2.0

    def test_truth_values_differ_by_one(self) -> None:
        assert difference(np.array([True, False]), np.array([True, True])).known == 1.0

    def test_integers_that_float64_can_not_tell_apart_differ(self) -> None:
        assert difference(np.array([2**62]), np.array([2**62 + 1])).known == 1.0

    def test_complex_numbers_differ_by_their_distance(self) -> None:
        assert difference(np.array([1 + 1j]), np.array([4 + 5j])).known == 5.0

    def test_an_empty_output_and_a_number_have_a_budget(self) -> None:
        nothing = np.zeros((0, 3))

        assert of(nothing, nothing, nothing, nothing).budget.total == 0.0
        assert difference(np.array(1.0), np.array(3.0)).known == 2.0

    def test_the_greatest_is_found_in_any_block(self) -> None:
        large = np.zeros((3, 1 << 20), np.float32)
        other = large.copy()
        other[1, 7] = 2.0

        assert difference(large, other).known == 2.0

    @given(arrays(np.float64, (4, 5), elements=st.floats(width=32)))
    def test_the_legs_never_add_up_to_less_than_the_total(self, values: Array) -> None:
        budget = of(*values).budget
        legs = (budget.reference_rounding, budget.export_error, budget.runtime_error)

        known = [leg for leg in legs if leg is not None]
        assert budget.total is not None
        assert len(known) < 3 or budget.total <= sum(known) * (1 + 1e-9)
        assert len(known) + sum(name in budget.unknown for name in LEGS) == 3


LEGS = ("reference_rounding", "export_error", "runtime_error")


class TestNotFinite:
    def test_beyond_the_range_of_float32_all_is_alike(self) -> None:
        mask = np.array([-np.inf, -GREATEST, 1.0])
        summed = np.array([-2 * GREATEST, -np.inf, 1.0])

        assert difference(mask, summed).known == 0.0

    def test_nan_meets_nan_and_an_infinity_its_equal(self) -> None:
        values = np.array([np.nan, np.inf, -np.inf, 1.0])

        assert difference(values, values + 0.5).known == 0.5

    @pytest.mark.parametrize(
        ("one", "other"),
        [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf), (np.nan, np.inf), (0.0, -np.inf)],
    )
    def test_a_leg_whose_sides_do_not_agree_is_unknown_and_not_0(self, one: float, other: float) -> None:
        found = difference(np.array([one, 2.0, 3.0]), np.array([other, 2.0, 3.5]))

        assert found.known is None
        assert "1 of 3 elements" in found.reason

    def test_a_complex_number_counts_once(self) -> None:
        one, other = np.array([complex(np.nan, np.nan), 1j]), np.array([0j, 2j])

        assert (difference(one, other).disagreeing, difference(one, other).greatest) == (1, 1.0)

    def test_a_nan_of_the_file_leaves_the_export_leg_unknown_and_names_it(self) -> None:
        broken = TRUTH.copy()
        broken[3] = np.nan

        found = of(shifted(1e-6), broken, TRUTH, broken)

        assert found.budget.export_error is None
        assert set(found.budget.unknown) == {"export_error"}
        assert found.budget.total == pytest.approx(1e-6)
        assert (found.dominant_leg, found.dominance) == ("export", None)

    def test_nans_of_two_legs_name_none(self) -> None:
        broken, worse = TRUTH.copy(), TRUTH.copy()
        broken[3] = worse[3:5] = np.nan

        assert of(TRUTH, worse, TRUTH, broken).dominant_leg is None

    def test_an_unknown_leg_beside_a_nan_names_none(self) -> None:
        broken = TRUTH.copy()
        broken[3] = np.nan

        assert of(TRUTH, broken, TRUTH, "no float64").dominant_leg is None


class TestUnknown:
    def test_a_side_that_is_missing_gives_its_reason_to_both_of_its_legs(self) -> None:
        budget = of(TRUTH, shifted(1.0), candidate64="the operator Mine has no float64").budget

        assert budget.export_error is None
        assert budget.runtime_error is None
        assert budget.reference_rounding == 0.0
        assert budget.unknown == dict.fromkeys(
            ["export_error", "runtime_error"], "the operator Mine has no float64"
        )

    def test_both_reasons_are_given_where_there_are_two(self) -> None:
        unknown = of(TRUTH, TRUTH, "no module", "no graph").budget.unknown

        assert unknown["export_error"] == "no module; no graph"
        assert unknown["noise_floor"] == "no module"

    def test_repeatability_is_unknown_when_one_side_never_ran_again(self) -> None:
        budget = of(TRUTH, TRUTH, candidate_again="the process was killed").budget

        assert budget.repeatability is None
        assert budget.unknown == {"repeatability": "the process was killed"}

    def test_shapes_that_differ_are_named(self) -> None:
        budget = of(TRUTH, TRUTH, candidate64=TRUTH[:4]).budget

        assert budget.export_error is None
        assert "[9] and [4]" in budget.unknown["export_error"]

    def test_strings_have_no_legs(self) -> None:
        one, other = np.array(["a", "b"]), np.array(["a", "c"])

        found = of(one, other, one, other.astype(object))

        assert found.budget.total == 1.0
        assert found.dominant_leg is None
        assert set(found.budget.unknown) == {*LEGS, "repeatability", "noise_floor"}


class TestOtherShapes:
    """Of outputs that can't be subtracted: which leg changed the shape is known all the same."""

    @pytest.mark.parametrize(
        ("reference64", "candidate64", "leg"),
        [(TRUTH, TRUTH[:2], "export"), (TRUTH, TRUTH, "runtime"), (TRUTH[:2], TRUTH[:2], "reference")],
    )
    def test_the_leg_whose_sides_differ_is_named(
        self, reference64: Array, candidate64: Array, leg: str
    ) -> None:
        found = of(TRUTH, TRUTH[:2], reference64, candidate64)

        assert found.budget.total is None
        assert (found.dominant_leg, found.dominance) == (leg, None)
        assert len(found.budget.unknown) == (2 if leg == "reference" else 1)  # the noise floor is another

    def test_two_such_legs_name_none(self) -> None:
        found = of(TRUTH, TRUTH[:2], TRUTH, TRUTH[:3])

        assert found.budget.total is None
        assert found.dominant_leg is None


class TestDominance:
    @pytest.mark.parametrize(
        ("sides", "leg"),
        [
            ((0.5, 0.0, 0.0, 0.01), "reference"),
            ((0.0, 0.0, 0.5, 0.51), "export"),
            ((0.01, 0.0, 0.0, 0.5), "runtime"),
        ],
    )
    def test_the_leg_that_stands_out_is_named(self, sides: tuple[float, ...], leg: str) -> None:
        reference, reference64, candidate64, candidate = map(shifted, sides)

        found = of(reference, candidate, reference64, candidate64)

        assert found.dominant_leg == leg
        assert found.dominance == pytest.approx(50)

    def test_two_legs_of_a_size_name_none(self) -> None:
        found = of(shifted(0.4), TRUTH, candidate64=shifted(0.2))

        assert (found.dominant_leg, found.dominance) == (None, None)

    def test_legs_that_cancel_name_none(self) -> None:
        assert of(TRUTH, shifted(0.01), candidate64=shifted(0.5)).dominant_leg is None

    def test_no_difference_names_none(self) -> None:
        assert of(TRUTH, TRUTH).dominant_leg is None

    def test_the_only_leg_has_nothing_to_be_a_multiple_of(self) -> None:
        found = of(TRUTH, shifted(0.5), candidate64=shifted(0.5))

        assert (found.dominant_leg, found.dominance) == ("export", None)

    def test_a_known_leg_that_explains_all_dominates_beside_unknown_ones(self) -> None:
        found = of(shifted(0.5), shifted(0.01), candidate64="a custom op")

        assert (found.dominant_leg, found.dominance) == ("reference", None)

    def test_a_known_leg_that_explains_half_does_not(self) -> None:
        assert of(shifted(0.5), shifted(-0.4), candidate64="a custom op").dominant_leg is None

    def test_nothing_known_names_none(self) -> None:
        assert of(TRUTH, shifted(0.5), "dropout", "a custom op").dominant_leg is None

    def test_a_side_that_differs_from_itself_is_not_to_blame_for_its_arithmetic(self) -> None:
        found = of(shifted(0.5), shifted(0.01), reference_again=shifted(0.0))

        assert found.dominant_leg == "repeatability"

    def test_runs_that_differ_a_little_leave_the_leg_its_name(self) -> None:
        found = of(shifted(0.5), shifted(0.01), reference_again=shifted(0.4))

        assert found.dominant_leg == "reference"

    def test_an_unrepeatable_side_does_not_hide_a_larger_fault(self) -> None:
        found = of(shifted(0.01), shifted(0.5), candidate64=shifted(0.5), reference_again=shifted(-0.01))

        assert found.dominant_leg == "export"

    def test_random_numbers_leave_repeatability_to_explain_the_total(self) -> None:
        found = of(shifted(0.5), shifted(0.01), "dropout draws random numbers", reference_again=shifted(-0.2))

        assert found.dominant_leg == "repeatability"
        assert found.dominance == pytest.approx(70)
