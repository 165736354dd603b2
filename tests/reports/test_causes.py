from __future__ import annotations

import pytest
from support import reports as made

from parity.records.diagnosis import Diagnosis, Statistics
from parity.reports import causes


def told(**changes: object) -> list[tuple[str, str]]:
    diagnosis: Diagnosis = made.replaced(made.diagnosis("export"), **changes)
    return [fact for fact in causes.facts(diagnosis) if fact[1]]


def test_place_cause_and_remedy_in_that_order() -> None:
    assert told(first_divergence=made.divergence(), causes=(made.cause(),)) == [
        ("starts at", "backbone.blocks.1.4 (BatchNormalization, model.py:31)"),
        ("node", "/backbone/blocks.1/blocks.1.4/BatchNormalization"),
        ("adds", "0.0312 on right inputs, inherits 2.10e-7"),
        ("because", "epsilon is 2e-3 in the file, 1e-3 in the module (99.8 % of the export error)"),
        ("mend", "export again: the file is stale"),
    ]


def test_nothing_is_told_where_nothing_is_known() -> None:
    assert told() == []


def test_a_place_without_a_module_is_the_node_and_is_told_once() -> None:
    place = made.divergence(module="", source="", local_error=None, inherited_error=None)
    assert told(first_divergence=place) == [
        ("starts at", "/backbone/blocks.1/blocks.1.4/BatchNormalization (BatchNormalization)")
    ]


def test_a_long_name_is_shortened_in_the_middle() -> None:
    name = "/first" + "x" * 500 + "/last"
    short = causes.node(made.divergence(node=name))
    assert len(short) == 72
    assert short.startswith("/firstx")
    assert short.endswith("x/last")
    assert causes.shortened("y" * 72) == "y" * 72


def test_what_a_kernel_kept_of_its_bits() -> None:
    place = made.divergence(leg="runtime", inherited_error=None, effective_bits=10.8)
    assert causes.adds(place) == "0.0312 on right inputs, 10.8 effective bits (float32 keeps 21 to 24)"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (None, "m"),
        (1.0, "m (100 % of the export error)"),
        (0.9999, "m (> 99.9 % of the export error)"),
        (0.0, "m (0 % of the export error)"),
        (1e-9, "m (< 0.01 % of the export error)"),
        (-3.0, "m (0 % of the export error)"),
        (1e308, "m (100 % of the export error)"),
    ],
)
def test_a_share_is_of_its_leg_and_no_more_than_all(share: float | None, said: str) -> None:
    assert causes.reason(made.cause(message="m", share=share)) == said


def test_a_share_that_the_message_tells_is_not_told_again() -> None:
    told = made.cause("tf32", "runtime", 0.97, message="rounding to TF32 reproduces 97.0% of the error")
    assert causes.reason(told) == told.message
    assert causes.reason(made.replaced(told, share=0.8)).endswith(" (80.0 % of the runtime error)")


def test_further_causes_are_few_and_what_is_large_has_its_remedy() -> None:
    found = [made.cause(share=0.5, message="0", remedy="a"), made.cause(share=0.3, message="1", remedy="b")]
    found += [made.cause(share=0.01, message=str(i), remedy=f"{i}") for i in range(2, 8)]
    assert [fact for fact in told(causes=tuple(found)) if fact[0] in ("also", "mend")] == [
        ("also", "1 (30.0 % of the export error)"),
        ("also", "2 (1.00 % of the export error)"),
        ("also", "3 (1.00 % of the export error)"),
        ("also", "and 4 more"),
        ("mend", "a"),
        ("mend", "b"),
    ]


def test_causes_that_differ_in_their_nodes_alone_are_told_once() -> None:
    alike = [made.cause(share=None, message="in training mode", node=f"bn{i}", remedy="a") for i in range(6)]
    other = made.cause(share=None, message="drops at random", remedy="a")
    assert [fact for fact in told(causes=(*alike, other)) if fact[0] in ("because", "also", "mend")] == [
        ("because", "in training mode, at 6 nodes"),
        ("also", "drops at random"),
        ("mend", "a"),
    ]


def test_rounding_is_good_news_and_not_worth_a_line_of_what_passed() -> None:
    sound = made.replaced(made.diagnosis("reference"), causes=(made.rounding("3e-4"),))
    assert causes.is_good_news(sound)
    assert causes.is_settled(sound)
    assert causes.worth_a_line(sound) == ""
    assert ("mend", "nothing to mend; a tolerance of at least 3e-4 holds") in causes.facts(sound)
    assert not causes.is_good_news(made.diagnosis())


@pytest.mark.parametrize(
    ("cause", "settled", "worth"),
    [
        (made.cause(), True, True),
        (made.cause(share=None), True, True),
        (made.cause(share=0.3), False, True),
        (made.cause(share=0.01), False, False),
        (made.cause("unknown", share=None), False, False),
    ],
)
def test_what_a_cause_is_worth(cause: object, settled: bool, worth: bool) -> None:
    diagnosis = made.replaced(made.diagnosis(), causes=(cause,))
    assert causes.is_settled(diagnosis) == settled
    assert bool(causes.worth_a_line(diagnosis)) == worth


def test_equal_notes_are_told_once_and_many_are_counted() -> None:
    noted = made.replaced(made.diagnosis(), notes=("a", "a", "b", "c", "d", "e"))
    assert causes.note_facts(noted) == [
        ("note", "a"),
        ("note", "b"),
        ("note", "c"),
        ("note", "and 2 more notes"),
    ]
    assert causes.note_facts(made.diagnosis()) == []


def test_statistics_show_small_differences() -> None:
    values = Statistics(minimum=-1.23456, maximum=2.0, mean=0.0, std=0.5, nonfinite=1_200)
    assert causes.statistics(values) == "min -1.2346, max 2.0000, mean 0, std 0.50000, 1,200 not finite"
    assert causes.statistics(None) == ""
