"""How figures read, the same in every report: three significant digits, short exponents, units.

No text of a model or a user comes through here, so what comes out needs no escaping.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from sys import float_info

from parity.records.measurements import Tolerance

MISSING = "-"


def number(value: float | None, digits: int = 3) -> str:
    """A measured number with `digits` significant digits: ``2.37``, ``0.0507``, ``4.99e-5``."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        decimals = f"{value:#.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
        return decimals.rstrip(".") if "e" not in decimals else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def limit(value: float) -> str:
    """A number that somebody wrote, in its shortest exact form: ``0.01``, ``1e-4``, ``1.3e-6``."""
    exact = Decimal(repr(value)).normalize()
    return f"{exact:f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{exact:e}".replace("e+", "e")


def factor(value: float | None) -> str:
    """How many times the tolerance: ``0.12 x``, ``20.1 x``; None is infinite.

    A factor beside 1 is rounded away from it, so that no failure reads as a pass.
    """
    if value is None:
        return "∞"
    if value < 1:
        return f"{min(value, 0.99):.2f} x" if value >= 0.005 or value == 0 else "< 0.01 x"
    if value == 1:
        return "1.00 x"
    if value < 10:
        return f"{max(value, 1.01):.2f} x"
    return f"{value:,.0f} x" if 1e3 <= value < 1e6 else f"{number(value)} x"


def times(value: float, unit: float) -> str:
    """``1,300 x``: how many times the unit, which is above 0."""
    return factor(min(value / unit, float_info.max))


def share(part: int, whole: int) -> str:
    """``58.9 %``; never 0 % of something, nor 100 % of less than all."""
    return percent(part, whole - part)


def percent(part: float, rest: float) -> str:
    """``58.9 %`` of part and rest; never 0 % of something, nor 100 % beside something, however small."""
    value = 100 * (part / (part + rest)) if part else 0.0
    if part and value < 0.01:
        return "< 0.01 %"
    if rest and value > 99.9:
        return "> 99.9 %"
    return f"{number(value)} %"


def cosine(value: float | None) -> str:
    """Cosine similarity with six decimals; never 1 for less than 1."""
    if value is None:
        return MISSING
    if 0.9999995 <= value < 1:
        return "> 0.999999"
    return f"{value:.6f}".rstrip("0").rstrip(".")


def counted(amount: int, noun: str) -> str:
    """``1 case``, ``12,000 cases``."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def seconds(value: float) -> str:
    """``0.4 s``, ``48 s``, ``3 min 20 s``."""
    if value < 10:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def milliseconds(value: float | None) -> str:
    """``220 ms``."""
    return MISSING if value is None else f"{number(value)} ms"


def multiple(value: float | None) -> str:
    """``1.18 x``; nothing when it is not known."""
    return MISSING if value is None else f"{number(value)} x"


def ratio(part: float | None, whole: float | None) -> str:
    """``1.18 x``; nothing when either is not known."""
    return multiple(part / whole if part is not None and whole else None)


def size(value: int | None) -> str:
    """Bytes in binary units: ``1.25 GiB``."""
    if value is None:
        return MISSING
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale:
            return f"{number(value / scale)} {unit}"
    return f"{value} B"


def quantile(share: str) -> str:
    """``q0.999``; a share that is no number reads as ``q?``."""
    try:
        return f"q{limit(float(share))}"
    except (ValueError, ArithmeticError):
        return "q?"


def bracketed(numbers: Sequence[int]) -> str:
    """An index or a shape: ``[0, 3, 57]``; ``scalar`` for a tensor without axes."""
    return f"[{', '.join(map(str, numbers))}]" if numbers else "scalar"


def tolerance(value: Tolerance | None) -> str:
    """The criteria that an output had to meet: ``atol 1e-3, cosine ≥ 0.999``."""
    if value is None:
        return MISSING
    criteria = [*_matching(value), *(["exact"] if value.exact else _elementwise(value))]
    criteria += [
        f"{name} ≤ {limit(bound)}"
        for name, bound in (
            ("max", value.max_abs),
            ("mean", value.mean_abs),
            ("rms", value.rms),
            ("ulp", value.ulp),
        )
        if bound is not None
    ]
    if value.noise_factor is not None:
        criteria.append(_noise(value.noise_factor, value.noise_floor))
    criteria += [f"{quantile(share)} ≤ {limit(bound)}" for share, bound in value.quantile.items()]
    if value.cosine is not None:
        criteria.append(f"cosine ≥ {limit(value.cosine)}")
    if value.snr_db is not None:
        criteria.append(f"snr ≥ {limit(value.snr_db)} dB")
    if value.equal_nan:
        criteria.append("equal NaN")
    if value.dtype == "any":
        criteria.append("any float dtype")
    return ", ".join(criteria) or MISSING


def _matching(value: Tolerance) -> list[str]:
    """How elements are paired: ``rows``; ``argmax, margin 0.01``; and which rows may be missing."""
    told = [str(value.match)] if value.match else []
    if value.margin:
        told.append(f"margin {limit(value.margin)}")
    if value.optional_below is not None:
        told.append(f"optional ≤ {limit(value.optional_below)}")
    return told


def _noise(multiple: float, floor: float | None) -> str:
    """``10 x noise = 6.8e-4``; without the figure where the floor could not be measured."""
    return f"{limit(multiple)} x noise" + ("" if floor is None else f" = {number(multiple * floor)}")


def _elementwise(value: Tolerance) -> list[str]:
    # An rtol of 0 says nothing; an atol of 0 is said when it stands alone.
    bounds = [("atol", value.atol), ("rtol", value.rtol)]
    asked = [(name, bound) for name, bound in bounds if bound is not None]
    told = [f"{name} {limit(bound)}" for name, bound in asked if bound] or [
        f"{name} 0" for name, _ in asked[:1]
    ]
    if value.mismatch is not None:
        told.append(f"mismatch ≤ {limit(round(100 * value.mismatch, 9))} %")
    return told
