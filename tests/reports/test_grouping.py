from __future__ import annotations

from support import reports as made

from parity.records.diagnosis import Diagnosis
from parity.reports import grouping, selection

PLACE = {"first_divergence": made.divergence(), "causes": (made.cause(),)}


def groups(subject: str = "head", **found: Diagnosis | None) -> list[grouping.Group]:
    outputs = tuple(
        made.output(name, 0.5 - i / 100, diagnosis=diagnosis)
        for i, (name, diagnosis) in enumerate(found.items())
    )
    return grouping.groups(
        selection.failed(selection.output_rows(made.report((made.case(subject, outputs),), 1)))
    )


def names(found: list[grouping.Group]) -> list[list[str]]:
    return [[row.name for row in group.rows] for group in found]


def explained(total: float = 0.5, **changes: object) -> Diagnosis:
    diagnosis: Diagnosis = made.replaced(made.diagnosis("export", total), **{**PLACE, **changes})
    return diagnosis


def test_outputs_of_one_place_and_cause_are_one_group_whatever_their_sizes_and_shares() -> None:
    other = explained(0.1, causes=(made.cause(share=0.4), made.cause("structure")))
    found = groups(a=explained(), b=other, c=explained(0.2))
    assert names(found) == [["a", "b", "c"]]
    assert grouping.likewise(found[0]) == "b 4,900 x, c 4,800 x"


def test_another_place_or_cause_is_another_group() -> None:
    elsewhere = explained(first_divergence=made.divergence(node="Conv_3", module="stem"))
    different = explained(causes=(made.cause(message="momentum is 0.1 in the file, 0.2 in the module"),))
    assert names(groups(a=explained(), b=elsewhere, c=different, d=explained(causes=()))) == [
        *(["a"], ["b"], ["c"], ["d"])
    ]


def test_a_tolerance_of_its_own_does_not_set_an_output_apart_but_is_told() -> None:
    sizes = ["3e-4", "1.2e-4", "3e-4", "0.05"]
    found = groups(
        **{
            name: made.replaced(made.diagnosis("reference"), causes=(made.rounding(size),))
            for name, size in zip("abcd", sizes, strict=True)
        }
    )
    assert names(found) == [["a", "b", "c", "d"]]
    assert grouping.remedies(found[0]) == [
        ("mend", "b: nothing to mend; a tolerance of at least 1.2e-4 holds"),
        ("mend", "d: nothing to mend; a tolerance of at least 0.05 holds"),
    ]


def test_remedies_are_few() -> None:
    causes = {f"y{i}": explained(causes=(made.cause(remedy=f"raise it to {i}"),)) for i in range(10)}
    (group,) = groups(**causes)
    assert len(grouping.remedies(group)) == 7
    assert grouping.remedies(group)[-1] == ("mend", "and of 3 more")


def test_what_has_no_reason_stands_alone_and_equal_notes_are_one_reason() -> None:
    noted = made.replaced(made.diagnosis("export"), notes=("not followed",))
    found = groups(a=made.diagnosis(), b=made.diagnosis(), c=noted, d=noted, e=None)
    assert names(found) == [["a"], ["b"], ["c", "d"], ["e"]]
    assert [group.is_reasoned for group in found] == [False, False, True, False]


def test_legs_that_are_unknown_for_one_reason_are_one_group_without_a_reason_of_the_error() -> None:
    (found, other) = groups(
        a=made.undiagnosable("no"), b=made.undiagnosable("no", 0.3), c=made.undiagnosable("yes")
    )
    assert names([found, other]) == [["a", "b"], ["c"]]
    assert not found.is_reasoned


def test_two_components_and_two_devices_are_no_one_group() -> None:
    cases = [
        made.case(subject, (made.output("y", 0.5, diagnosis=explained()),), device=device)
        for subject in ("head", "neck")
        for device in ("cpu", "cuda:0")
    ]
    rows = selection.failed(selection.output_rows(made.report(tuple(cases), 1)))
    assert len(grouping.groups(rows)) == 4


def test_the_chain_is_left_out_only_beside_components_that_are_explained() -> None:
    chain = groups("pipeline", y=None, z=None)
    assert grouping.in_detail(chain, 3) == chain
    both = [*chain, *groups(a=explained())]
    assert names(grouping.in_detail(both, 3)) == [["a"]]
    bare = [*chain, *groups(a=made.diagnosis())]
    assert names(grouping.in_detail(bare, 2)) == [["a"], ["y"]]


def test_a_component_without_a_budget_is_not_left_out() -> None:
    both = [*groups("neck", y=None), *groups(a=explained())]
    assert names(grouping.in_detail(both, 3)) == [["a"], ["y"]]
