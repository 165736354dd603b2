"""Libraries of custom operators: files, or packages that know where theirs is."""

from __future__ import annotations

from msgspec.structs import replace

from parity.records.jobs import OnnxRuntimeOptions
from parity.worker.problems import Unable, user_code
from parity.worker.targets import import_target


def with_libraries(options: OnnxRuntimeOptions, base_dir: str) -> OnnxRuntimeOptions:
    """The options with the path of every library of custom operators.

    ``package.module:callable``, such as ``onnxruntime_extensions:get_library_path``, is called for it.

    Raises:
        Unable: the callable can't be imported, raises, or gives no path.
    """
    libraries = tuple(_located(library, base_dir) for library in options.custom_ops)
    return replace(options, custom_ops=libraries)


def _located(library: str, base_dir: str) -> str:
    if ":" not in library:
        return library
    locate = import_target(library, base_dir)
    with user_code(f"asking {library} for its library of custom operators"):
        found = locate()
    if not isinstance(found, str):
        raise Unable(
            "user-code",
            f"{library} gives an object of type {type(found).__qualname__}, not the path of a library",
            fix="name a callable that returns the library's path, or the library itself",
        )
    return found
