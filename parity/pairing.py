"""Which tensor of the reference each ONNX output is compared with.

What has no counterpart is a pair too: one with a `problem`, which fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from parity.errors import SpecError
from parity.records.tensors import Record, TensorRecord, ValueInfo


class Pair(Record):
    """One output to judge. With a `problem`, one side is missing and the output has failed.

    One that is `absent` is optional and has no value, or a collection and empty, on both sides alike.
    """

    name: str  # of the ONNX output; of the reference tensor where the ONNX model has none
    reference_path: str = ""
    reference: TensorRecord | None = None
    candidate: TensorRecord | None = None
    problem: str = ""
    absent: bool = False


def pair(
    onnx_outputs: tuple[ValueInfo, ...],
    reference: tuple[TensorRecord, ...],
    candidate: tuple[TensorRecord, ...],
    mapping: Mapping[str, str],
    *,
    at: str = "",
) -> tuple[Pair, ...]:
    """Pairs the outputs of one component, in the order of the ONNX file.

    Args:
        onnx_outputs: as the ONNX file declares them.
        reference: tensors of the PyTorch result, named by their paths in it, in order.
        candidate: tensors of the ONNX outputs, named as these are.
        mapping: ONNX output -> path, as the specification has it. With one, the reference's further tensors
            are not compared, and an output that it leaves out has the path of its own name. Without one,
            outputs go by name when every one of them names a path, else by order. Of an output that is a
            sequence or a map, it is the path of the whole.
        at: the place of the mapping in the specification, for errors.

    Raises:
        SpecError: the mapping names no output or path that is there, or leaves out an output.
    """
    names = [output.name for output in onnx_outputs]
    paths = [tensor.name for tensor in reference]
    given = [tensor.name for tensor in candidate]
    if mapping:
        ways = _mapped(onnx_outputs, paths, mapping, at)
    elif all(_is_named(output, paths, given) for output in onnx_outputs):
        ways = {name: name for name in names}
    else:
        ways = _in_order(onnx_outputs, paths, given)
    by_path, by_name = _by_name(reference), _by_name(candidate)
    counts = f"the reference has {_tensors(len(paths))}, the ONNX model {len(names)}"
    pairs: list[Pair] = []
    for output in onnx_outputs:
        way = ways.get(output.name)
        if output.form == "collection":
            pairs += _of_collection(output.name, way, by_path, by_name)
        elif output.form == "optional" and output.name not in by_name and way not in by_path:
            pairs.append(Pair(name=output.name, reference_path=way or "", absent=True))
        else:
            pairs.append(_pair(output.name, way, by_path, by_name, counts))
    taken = {pair.reference_path for pair in pairs if pair.reference is not None}
    unpaired = [] if mapping else [path for path in paths if path not in taken]
    judged = {pair.name for pair in pairs}
    if mapping and not set(paths) <= taken:
        pairs = [_doubted(pair) if pair.absent else pair for pair in pairs]
    return (
        *pairs,
        *(_missing_candidate(by_path[path], f"no ONNX output stands for it: {counts}") for path in unpaired),
        *(_undeclared(tensor) for tensor in candidate if tensor.name not in judged),
    )


def pair_by_name(
    reference: tuple[TensorRecord, ...], candidate: tuple[TensorRecord, ...]
) -> tuple[Pair, ...]:
    """Pairs what the chain returned with PyTorch stages and with ONNX stages: by name, on both sides."""
    by_path, by_name = _by_name(reference), _by_name(candidate)
    names = list(dict.fromkeys((*by_path, *by_name)))
    return tuple(_pair(name, name, by_path, by_name, "not returned with PyTorch stages") for name in names)


def _pair(
    name: str,
    path: str | None,
    by_path: Mapping[str, TensorRecord],
    by_name: Mapping[str, TensorRecord],
    why: str,
) -> Pair:
    reference, candidate = by_path.get(path) if path is not None else None, by_name.get(name)
    problem = ""
    if reference is None:
        problem = f"missing in the reference: {why}"
    elif candidate is None:
        problem = "missing in the candidate: the run did not return it"
    return Pair(
        name=name,
        reference_path=path or "",
        reference=reference,
        candidate=candidate,
        problem=problem,
    )


def _missing_candidate(tensor: TensorRecord, why: str) -> Pair:
    problem = f"missing in the candidate: {why}"
    return Pair(name=tensor.name, reference_path=tensor.name, reference=tensor, problem=problem)


def _doubted(pair: Pair) -> Pair:
    """Nothing on the candidate's side, and on the other perhaps a path that is misspelt: no pass."""
    problem = (
        f"missing in the reference: it has nothing at {pair.reference_path!r}, but tensors that 'outputs' "
        "does not name, of which one may be this"
    )
    return Pair(name=pair.name, reference_path=pair.reference_path, problem=problem)


def _undeclared(tensor: TensorRecord) -> Pair:
    problem = "missing in the reference: the ONNX file does not declare this output"
    return Pair(name=tensor.name, candidate=tensor, problem=problem)


def _of_collection(
    name: str, way: str | None, by_path: Mapping[str, TensorRecord], by_name: Mapping[str, TensorRecord]
) -> list[Pair]:
    """One pair for each tensor of a sequence or map, on either side; ``probabilities.0.cat``."""
    ours = dict.fromkeys(_below(way, by_path)) if way is not None else {}
    theirs = dict.fromkeys(_below(name, by_name))
    if not ours and not theirs:
        return [Pair(name=name, reference_path=way or "", absent=True)]
    why = f"the reference has {_tensors(len(ours))} in it, the candidate {len(theirs)}"
    pairs = []
    for part in dict.fromkeys((*ours, *theirs)):
        leaf, path = f"{name}.{part}", f"{way}.{part}" if way else part
        reference, candidate = by_path.get(path) if part in ours else None, by_name.get(leaf)
        missing = "reference" if reference is None else "candidate" if candidate is None else ""
        problem = f"missing in the {missing}: {why}" if missing else ""
        pairs.append(
            Pair(name=leaf, reference_path=path, reference=reference, candidate=candidate, problem=problem)
        )
    return pairs


def _below(way: str, names: Iterable[str]) -> list[str]:
    """What follows the path of a collection in the names of its tensors; of an empty path all of them."""
    prefix = f"{way}." if way else ""
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _is_named(output: ValueInfo, paths: list[str], given: list[str]) -> bool:
    """Whether the PyTorch result has the output's name, or the output has no value that it could be of."""
    if output.form == "collection":
        return bool(_below(output.name, paths)) or not _below(output.name, given)
    return output.name in paths or (output.form == "optional" and output.name not in given)


def _in_order(outputs: tuple[ValueInfo, ...], paths: list[str], given: list[str]) -> dict[str, str]:
    """Output -> path, one after the other.

    A collection takes all that is below the next key at the top of the result; alone, the whole of it. An
    empty one takes it only where there is enough for the outputs after it; an optional one without a value
    takes nothing, as the reference leaves out None.
    """
    ways: dict[str, str] = {}
    left = list(paths)
    for number, output in enumerate(outputs):
        after = len(outputs) - number - 1
        if output.form == "collection":
            if left and (_below(output.name, given) or len(left) > after):
                top = left[0].partition(".")[0]
                ways[output.name] = "" if len(outputs) == 1 else top
                left = [path for path in left if path.partition(".")[0] != top and len(outputs) > 1]
        elif left and (output.form == "tensor" or output.name in given):
            ways[output.name] = left.pop(0)
    return ways


def _mapped(
    outputs: tuple[ValueInfo, ...], paths: list[str], mapping: Mapping[str, str], at: str
) -> dict[str, str]:
    names = [output.name for output in outputs]
    for name in mapping:
        if name not in names:
            raise SpecError(f"the ONNX model has no output {name!r}", at=at, fix=_nearest(name, names))
    ways = {name: mapping.get(name, name) for name in names}
    for output in outputs:
        path = ways[output.name]
        if path in paths or output.form != "tensor":  # what may be empty on this input
            continue
        if output.name in mapping:
            problem = f"output {output.name!r} is mapped to {path!r}, which the PyTorch result does not have"
            raise SpecError(problem, at=at, fix=_nearest(path, paths))
        problem = f"outputs leaves out {path!r}, and no path in the PyTorch result has this name"
        raise SpecError(problem, at=at, fix=f"map it to one of: {_listed(paths)}")
    return ways


def _nearest(wrong: str, known: list[str]) -> str:
    near = get_close_matches(wrong, known, n=3)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"it has: {_listed(known)}"


def _listed(names: Iterable[str], most: int = 12) -> str:
    listed = [repr(name) for name in names]
    more = f", and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more if listed else "nothing"


def _by_name(tensors: Iterable[TensorRecord]) -> dict[str, TensorRecord]:
    return {tensor.name: tensor for tensor in tensors}


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count} tensors"
