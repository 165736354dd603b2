"""ONNX Runtime's own words on what went wrong, shortened to a problem and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from parity.worker.problems import Unable

_NODE = re.compile(r"while running (\S+) node\. Name:'([^']*)' Status Message: (.*)", re.DOTALL)
# Where in its sources: /onnxruntime_src/.../reshape_helper.h:91 onnxruntime::ReshapeHelper::f(const T&, bool)
_PLACE = re.compile(r"(?:^|(?<=\s))/?\S+\.(?:cc|h|cu|cpp):\d+ [^()]*\((?:[^()]|\([^()]*\))*\)(?: const)?\s*")
_FIXES = {
    r"not a registered function/op|No opset import for domain": (
        "this ONNX Runtime lacks the operator: name its library under onnxruntime.custom_ops"
    ),
    r"Could not find an implementation": (
        "the execution provider has no kernel for this operator, opset and dtype: try another opset"
    ),
    r"ONNX Runtime only \*guarantees\* support|Unsupported model IR version": (
        "export with a lower opset, or install a newer onnxruntime"
    ),
    r"Failed to allocate memory|out of memory": "use smaller inputs or a machine with more memory",
}


def explain(error: Exception) -> tuple[str, str]:
    """The problem, in short and with the node if ONNX Runtime names it, and a fix, which may be empty."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)).strip()
    if node := _NODE.search(text):
        name = f" {node[2]!r}" if node[2] else ""
        text = f"the {node[1]} node{name} failed: {node[3]}"
    fix = next((fix for pattern, fix in _FIXES.items() if re.search(pattern, text)), "")
    problem = " ".join(_PLACE.sub("", text).split())[:400].rstrip(". ")
    return problem or type(error).__name__, fix


@contextmanager
def explained(doing: str, path: str) -> Iterator[None]:
    """Turns what ONNX Runtime raises into `Unable("onnx", ...)`: it can't ("load", "run") the file `path`."""
    try:
        yield
    except (Unable, MemoryError):
        raise
    except Exception as error:
        problem, fix = explain(error)
        raise Unable(
            "onnx", f"ONNX Runtime can't {doing} {path}: {problem}", fix=fix, detail=str(error)
        ) from error
