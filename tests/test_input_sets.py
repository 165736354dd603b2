"""What `inputs` comes to: sets with stable names, and with seeds that no other set changes."""

from __future__ import annotations

from support.specs import SOUND, SpecFolder

from parity.planning import plan
from parity.records.inputs import FileInputs, GeneratedInputs
from parity.records.plan import PlannedSet, ProviderPlan


def sets(folder: SpecFolder, inputs: str) -> tuple[PlannedSet, ...]:
    planned = plan(folder.load(SOUND[: SOUND.index("inputs:")] + f"inputs:\n{inputs}")).inputs
    assert not isinstance(planned, ProviderPlan)
    return planned


def generated(planned: PlannedSet) -> GeneratedInputs:
    assert isinstance(planned.source, GeneratedInputs)
    return planned.source


def test_each_combination_of_dimensions_is_a_set(folder: SpecFolder) -> None:
    made = sets(
        folder,
        "  samples: 2\n  dims: {batch: [1, 4], n: 20000}\n  tensors:\n    x: {shape: [batch, n, 3]}\n"
        "    mask: {shape: [n], dtype: bool}\n",
    )
    assert [one.id for one in made] == [
        "batch=1,n=20000,sample=0",
        "batch=1,n=20000,sample=1",
        "batch=4,n=20000,sample=0",
        "batch=4,n=20000,sample=1",
    ]
    assert [[tensor.shape for tensor in generated(one).tensors] for one in made[::2]] == [
        [(1, 20000, 3), (20000,)],
        [(4, 20000, 3), (20000,)],
    ]


def test_without_dimensions_a_set_is_named_by_its_sample(folder: SpecFolder) -> None:
    assert [one.id for one in sets(folder, "  tensors:\n    x: {shape: []}\n")] == ["sample=0"]


def test_the_seed_of_a_set_does_not_depend_on_the_others(folder: SpecFolder) -> None:
    def seeds(seed: int, samples: int, sizes: str) -> dict[str, tuple[int, ...]]:
        head = f"  seed: {seed}\n  samples: {samples}\n  dims: {{n: {sizes}}}\n"
        made = sets(folder, f"{head}  tensors:\n    x: {{shape: [n]}}\n")
        return {one.id: generated(one).seed for one in made}

    few, many, other = seeds(0, 1, "3"), seeds(0, 4, "[5, 3, 1]"), seeds(1, 4, "[5, 3, 1]")
    assert few.items() <= many.items()
    assert len(set(many.values())) == len(many) == 12
    assert not set(many.values()) & set(other.values())
    # Written down, so that a change of what is drawn is seen: recorded results would not be comparable.
    assert few == {"n=3,sample=0": (0, 45765534799242)}


def test_files_are_named_by_their_stems(folder: SpecFolder) -> None:
    for name in ("a/one.npz", "a/two.npz", "b/two.npz", "b/two.pt", "b/drei ß.npy"):
        (folder.root / name).parent.mkdir(exist_ok=True)
        (folder.root / name).touch()
    made = sets(folder, "  files: [a/*.npz, 'b/*', a/one.npz]\n")
    named = {one.id: one.source for one in made}
    assert named == {
        name: FileInputs(path=str(folder.root / file))
        for name, file in {
            "one": "a/one.npz",
            "a_two.npz": "a/two.npz",
            "b_two.npz": "b/two.npz",
            "b_two.pt": "b/two.pt",
            "drei": "b/drei ß.npy",
        }.items()
    }
    assert len(made) == len(named)


def test_names_of_files_stay_apart_and_short(folder: SpecFolder) -> None:
    names = ["a b.npz", "a_b.npz", "a:b.npz", "x" * 200 + "1.npz", "x" * 200 + "2.npz", "'.npz", "?.npz"]
    for name in names:
        (folder.root / name).touch()
    ids = [one.id for one in sets(folder, "  files: '*.npz'\n")]
    assert len(set(ids)) == len(names)
    assert all(0 < len(one) < 120 and "/" not in one and not one.startswith(".") for one in ids)
