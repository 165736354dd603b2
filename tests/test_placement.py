"""What is said of nodes that the requested provider did not take, and what they do to a run."""

from __future__ import annotations

from msgspec.structs import replace

from parity.placement import notes, placements, problem
from parity.records.jobs import OnnxRuntimeOptions
from parity.records.outcomes import Loaded, Ran, SessionOpened, TimedOut
from parity.records.placement import Crossing, Crossings, Misplaced, Placement
from parity.records.runs import ComparisonRun, SetRun
from parity.records.sides import on_device

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
SOUND = Placement(component="model", requested=CUDA, nodes={CUDA: 52})
PLACED = Placement(
    component="model",
    requested=CUDA,
    nodes={CUDA: 49, CPU: 3},
    elsewhere=(
        Misplaced(op_type="Unique", provider=CPU, count=2, nodes=("/a", "/b")),
        Misplaced(op_type="Det", provider=CPU, count=1, nodes=("",)),
    ),
)
CROSSED = replace(
    PLACED,
    crossings=Crossings(
        input_set="sample=0",
        count=2,
        bytes=1536,
        largest=(
            Crossing(tensor="t", source=CUDA, target=CPU, bytes=1536),
            Crossing(tensor="u", source=CPU, target=CUDA, unknown="its shape is not known"),
        ),
    ),
)


def opened(placement: Placement) -> SessionOpened:
    return SessionOpened(
        component=placement.component, inputs=(), outputs=(), settings={}, providers=(), placement=placement
    )


def test_a_warning_names_nodes_operators_and_bytes() -> None:
    (note,) = notes([SOUND, CROSSED], "warn")
    assert note == (
        "3 of 52 nodes are not on CUDAExecutionProvider: Unique x 2 (/a, /b), Det; "
        "1.5 KiB cross between providers in each run (2 tensors)"
    )
    (of_component,) = notes([replace(PLACED, component="encoder")], "warn")
    assert of_component.startswith("encoder: 3 of 52 nodes are not on")


def test_bytes_that_are_not_known_say_why() -> None:
    partly = replace(CROSSED, crossings=replace(CROSSED.crossings, unknown="'u': its shape is not known"))
    (note,) = notes([partly], "warn")
    assert note.endswith("(2 tensors), and more of unknown size: 'u': its shape is not known")
    unknown = replace(CROSSED, crossings=Crossings(input_set="0", count=1, bytes=0, unknown="'u': no shape"))
    (note,) = notes([unknown], "warn")
    assert note.endswith("how many bytes cross between providers is unknown (1 tensor): 'u': no shape")


def test_nothing_is_said_where_all_is_placed_or_nobody_wants_to_know() -> None:
    assert list(notes([SOUND], "warn")) == []
    assert list(notes([CROSSED], "ignore")) == []
    assert list(notes([CROSSED], "strict")) == []  # the problem says it
    assert problem([SOUND], "strict", "parity.yml:3:1") is None
    assert problem([CROSSED], "warn", "parity.yml:3:1") is None
    assert problem([CROSSED], "ignore", "parity.yml:3:1") is None


def test_strict_is_a_problem_with_every_node_and_tensor() -> None:
    found = problem([CROSSED], "strict", "parity.yml:3:1")
    assert found is not None
    assert (found.kind, found.at) == ("placement", "parity.yml:3:1")
    assert "Unique x 2 (/a, /b), Det; 1.5 KiB cross" in found.message
    assert found.detail.splitlines() == [
        f"{CPU} runs Unique '/a'",
        f"{CPU} runs Unique '/b'",
        f"{CPU} runs Det ''",
        f"'t' goes from {CUDA} to {CPU}: 1,536 bytes",
        f"'u' goes from {CPU} to {CUDA}: its shape is not known",
    ]


def test_an_unknown_placement_is_no_good_one() -> None:
    unknown = Placement(component="model", requested=CUDA, nodes={}, unknown="it is not recorded")
    assert list(notes([unknown], "warn")) == ["placement is unknown: it is not recorded"]
    found = problem([unknown], "strict", "")
    assert found is not None
    assert "placement is unknown" in found.message


def test_the_first_run_tells_more_than_the_session() -> None:
    ran = Ran(calls=(), outputs=None, seconds=0.0, peak_rss_bytes=1, placements=(CROSSED,))
    failed = TimedOut(limit_s=1, stderr_tail="")
    other = replace(SOUND, component="other")
    reference = Loaded(settings={}, versions={}, device="cpu", placements=(SOUND,))
    run = ComparisonRun(
        comparison=on_device("cuda:0", OnnxRuntimeOptions()),
        reference=reference,
        candidate=replace(reference, placements=()),
        sessions={"model": opened(PLACED), "other": opened(other), "third": failed},
        exports={},
        sets=(SetRun(id="0", inputs=failed, candidate=failed), SetRun(id="1", inputs=failed, candidate=ran)),
    )
    assert placements(run) == ((SOUND,), (CROSSED, other))
    assert placements(replace(run, sets=())) == ((SOUND,), (PLACED, other))
    assert placements(replace(run, reference=failed))[0] == ()
