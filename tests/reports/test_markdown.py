from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options
from hypothesis import given
from hypothesis import strategies as st
from support import reports as made

from parity.records.results import Report
from parity.reports import markdown
from parity.reports.escaping import code, prose

KINDS = made.all_kinds()
OURS = {"h2", "h3", "p", "strong", "code", "pre", "br", "ul", "li", "details", "summary"}
OURS |= {"table", "thead", "tbody", "tr", "th", "td"}
VOID = {"br"}


class Reader(HTMLParser):
    """The tags of a page, and its text outside <code> and <pre>, where GitHub looks for mentions."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loose_text = ""
        self.text = ""
        self.attributes: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if not {"code", "pre"} & set(self.open):
            self.loose_text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def page(text: str) -> Reader:
    reader = Reader(github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE))
    assert not reader.open
    return reader


@pytest.mark.parametrize("kind", KINDS)
def test_only_our_own_tags_come_out(kind: str) -> None:
    read = page(markdown.render(KINDS[kind]))
    assert set(read.tags) <= OURS
    assert read.attributes <= {"align", "lang"}
    assert not re.search(r"@\w|#\d", read.loose_text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", read.text)


def test_hostile_reasons_of_unknown_legs_are_there_and_inert() -> None:
    """`test_only_our_own_tags_come_out` and its like read them: here, that there is something to read."""
    told = markdown.render(KINDS["hostile"])
    assert told.count("| unknown | export and runtime&#58; ") == len(made.HOSTILE_NAMES)
    assert told.count("| unknown |") >= 2 * len(made.HOSTILE_NAMES)


@given(
    st.text(max_size=60)
    | st.sampled_from(made.HOSTILE_NAMES)
    | st.text("w.@:/#`|<>&[]()*_~\\ax", max_size=40)
)
def test_any_name_and_message_is_inert_in_a_table(name: str) -> None:
    read = page(f"| a | b |\n| --- | --- |\n| {code(name)} | {prose(name)} |\n\nsaid: {prose(name)}\n")
    assert set(read.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "code", "p"}
    assert read.tags.count("td") == 2
    assert not re.search(r"@\w", read.loose_text)


@pytest.mark.parametrize("name", ["heatmap", "task_heads.0/heat-map", "出力<1>", "a|b", "x `y` *z*"])
def test_a_name_reads_as_it_is(name: str) -> None:
    assert page(code(name)).text.strip() == name
    assert page(f"said: {prose(name)}").text.strip() == f"said: {name}"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("green", "## ✅ parity: 13 outputs within tolerance"),
        ("one-fault", "## ❌ parity: 2 of 13 outputs beyond tolerance"),
        ("empty", "## ⛔ parity: nothing was compared"),
    ],
)
def test_the_first_line_is_the_verdict(kind: str, line: str) -> None:
    assert markdown.render(KINDS[kind]).splitlines()[0] == line


def test_failures_stand_before_anything_folded_and_say_all() -> None:
    text = markdown.render(KINDS["one-fault"])
    head = page(text.partition("<details>")[0]).text
    for said in (
        "heatmap",
        "0.00201",
        "20.1\xa0x",
        "[0,\xa03,\xa085,\xa085]",
        "1.2354279",
        "1.2374389",
        "30.0\xa0%",
    ):
        assert said in head
    assert "pillar_features" not in head


def test_a_diagnosed_failure_says_what_it_mostly_is() -> None:
    head, _, folded = markdown.render(KINDS["one-fault"]).partition("<details>")
    component, chain = (line for line in head.splitlines() if "<code>heatmap</code>" in line)
    assert "| export |" in component
    assert "| - |" in chain
    assert head.count("- export error: the ONNX graph computes something else than the reference\n") == 1
    told = page("<details>" + folded).text
    for said in (
        "0.00201 (96.5 %) ▇▇▇▇▇▇▇▇",
        "5.20e-5 (2.50 %)",
        "38.7 x the float32 noise floor of 5.20e-5",
    ):
        assert said in told


def test_where_and_why_is_told_once_before_the_tables() -> None:
    head, _, folded = markdown.render(KINDS["explained"]).partition("<details>")
    assert head.index("### Where and why") < head.index("### Beyond tolerance")
    assert head.count("epsilon is") == 1
    assert head.count("ONNX graph computes something else") == 1
    for line in (
        "| mostly | export error&#58; the ONNX graph computes something else than the reference |",
        "| budget | export 0.201 (> 99.9 %) ▇▇▇▇▇▇▇▇ |",
        "| starts at | <code>backbone.blocks.1.4</code>, <code>BatchNormalization</code>, "
        "<code>model.py&#58;31</code> |",
        "| mend | export again&#58; the file is stale |",
    ):
        assert f"\n{line}\n" in head
    told = page("<details>" + folded).text
    for said in (
        "The tensor where it starts",
        "expected\n-4.2130\n5.8710\n0.012100\n0.99820\n0",
        "found\n-4.1720\n5.8130\n0.011900\n0.98840\n0",
        "adds 0.0312 on right inputs, inherits 2.10e-7",
        "attribute\nexport\n99.8\xa0%",
        "and 14 sound modules before, none adds more than 3.90e-8",
        "0.0091\xa0▇▇▇▇▇▇▇▇",
    ):
        assert said in told
    assert told.count("The tensor where it starts") == told.count("Errors of the modules") == 1


def test_the_table_of_modules_is_short() -> None:
    text = markdown.render(KINDS["explained"])
    assert len(re.findall(r"^\| <code>backbone\.blocks", text, re.MULTILINE)) == 12


def test_rounding_is_no_alarm() -> None:
    text = markdown.render(KINDS["puzzles"])
    assert "| because | float32 rounding |" in text
    assert "| mend | nothing to mend&#59; a tolerance of at least 2e-4 holds |" in text
    assert "| because | **TF32 is on " in text


def test_budgets_of_what_passed_are_folded_away() -> None:
    head, _, folded = markdown.render(KINDS["always"]).partition("<details>")
    assert "epsilon" not in head
    told = page("<details>" + folded).text
    assert "Error budgets of what is within tolerance" in told
    assert "epsilon is 2e-3 in the file, 1e-3 in the module (40.0 % of the export error)" in told
    assert "Where and why" not in told
    assert "Errors of the modules" not in told


def test_hostile_places_causes_and_notes_are_there_and_inert() -> None:
    text = markdown.render(KINDS["hostile"])
    for name in ("because", "also", "mend", "note"):
        assert text.count(f"| {name} |") >= len(made.HOSTILE_NAMES)
    assert text.count("<summary>Errors of the modules of") == len(made.HOSTILE_NAMES)


def test_the_column_is_not_there_where_nothing_was_diagnosed() -> None:
    bare = made.report((made.case("model", (made.output("y", 0.5),)),), 1)
    assert "Mostly" not in markdown.render(bare)
    assert "Mostly" in markdown.render(KINDS["budgets"])


def test_every_leg_that_stands_out_is_explained_once() -> None:
    head = page(markdown.render(KINDS["budgets"]).partition("<details>")[0])
    for word in ("export", "reference", "runtime", "repeatability", "no leg", "unknown"):
        assert f"\n{word}\n" in head.text
    for meaning in ("ONNX graph computes", "reference's own", "graph optimizers", "not repeatable"):
        assert head.text.count(meaning) == 1
    assert "atol 0.05 is at least 962 x the float32 noise: a fault of that size would pass" in head.text


def test_folded_parts_hold_settings_environment_and_hashes() -> None:
    text = page(markdown.render(KINDS["green"])).text
    for said in ("ORT_DISABLE_ALL", "cudnn_benchmark", "AMD EPYC", "torchscript", "183\xa0ms", "1.17\xa0x"):
        assert said in text
    assert made.points("0").sha256 in text


def test_errors_say_what_where_and_how_to_mend_it() -> None:
    text = page(markdown.render(KINDS["errors"]).partition("<details>")[0]).text
    for said in (
        "killed by SIGSEGV",
        "and 17 more",
        "parity.yml:52:12",
        "raise limits.timeout",
        "got mat2 is on",
    ):
        assert said in text


def many(count: int, **changes: object) -> markdown.Report:
    outputs = tuple(made.output(f"output.{i:05}", 1e-6) for i in range(count))
    failing = tuple(made.output(f"failing.{i:05}", 0.5 + i) for i in range(30))
    return made.report((made.case("model", (*outputs, *failing), **changes),), 1)


def test_passing_rows_are_cut_first_and_between_rows() -> None:
    report = many(20_000)
    text = markdown.render(report)
    assert len(text.encode()) <= markdown.SIZE_LIMIT
    read = page(text)
    assert all(f"failing.{i:05}" in text for i in range(30))
    assert "Environment" in text
    assert re.search(r"\n[\d,]+ more, see results.json\n", text)
    assert read.tags.count("td") % 6 in range(6)  # parsed to the end
    assert all(line.endswith(" |") for line in text.splitlines() if line.startswith("| "))


@pytest.mark.parametrize("limit", [2_000, 6_000, 20_000, 60_000])
@pytest.mark.parametrize("kind", KINDS)
def test_any_limit_holds_and_nothing_is_left_open(kind: str, limit: int) -> None:
    text = markdown.render(KINDS[kind], limit)
    assert len(text.encode()) <= limit
    assert text.startswith("## ")
    assert set(page(text).tags) <= OURS


def test_a_small_limit_keeps_the_worst_failure_and_says_that_there_is_more() -> None:
    text = markdown.render(many(10), 2_000)
    assert "failing.00029" in text
    assert "see results.json" in text


def test_a_command_to_replay_is_code_that_can_be_copied_whole() -> None:
    case = made.case("model", (made.output("y", 0.5),), id="s/torch@cpu.example:onnxruntime@cpu/0/model")
    text = markdown.render(made.report((case,), 1))
    (cell,) = (line for line in text.splitlines() if line.startswith("| replay |"))
    assert cell.startswith("| replay | <code>parity run examples/centerpoint/parity.yml --case ")
    assert "onnxruntime&#64;cpu" in cell


def test_suites_have_a_column_where_there_are_several_alone() -> None:
    assert "| Suite | Sides |" in markdown.render(_two_suites())
    one = markdown.render(KINDS["compared"])
    assert "| Sides |" in one
    assert "Suite" not in one


def _two_suites() -> Report:
    names = ("one", "two")
    cases = tuple(made.case("model", (made.output("y", 0.5),), suite=name) for name in names)
    return made.report(cases, 1, tuple(made.suite(name=name) for name in names))
