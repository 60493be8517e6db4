"""Figures in sentences and cells: signs, points, intervals, p-values. For people; JSON and CSV hold the numbers."""

from __future__ import annotations

MINUS = "\u2212"
CONVENTION = 0.05  # the p-value that decides


def tenths(number: float) -> str:
    """0.74 as "0.7" and -3.27 as "−3.3"; what rounds to nothing has no sign."""
    shown = f"{number:.1f}"
    return "0.0" if shown == "-0.0" else shown.replace("-", MINUS)


def signed(share: float) -> str:
    """A difference of shares in points: "+3.2", "−0.4"; "0.0" where it rounds to nothing."""
    shown = tenths(100 * share)
    return f"+{shown}" if share > 0 and shown != "0.0" else shown


def bounds(low: float, high: float) -> str:
    """An interval of a difference of shares, with signs: "−0.5 to +4.2"."""
    return f"{signed(low)} to {signed(high)}"


def size(share: float) -> str:
    """How large a difference of shares is, without its sign: "3.2 points", "less than 0.1 points", "0 points"."""
    if abs(share) < 1e-9:
        return "0 points"
    shown = tenths(100 * abs(share))
    return "less than 0.1 points" if shown == "0.0" else f"{shown} points"


def at_most(points: float) -> str:
    """An upper bound in points, rounded up: 0.02 as "0.1"."""
    return tenths(-(-round(10 * points, 6) // 1) / 10)


def p_value(p: float) -> str:
    """0.0342 as "0.034", with a fourth digit where the third would hide on which side of 0.05 it lies; "< 0.001"."""
    if p < 0.0005:
        return "< 0.001"
    return f"{p:.4f}" if round(p, 3) == CONVENTION else f"{p:.3f}"


def p_words(p: float, corrected: float | None = None, among: str = "") -> str:
    """The p-value of one test, and that after Holm's correction where it is another: "p = 0.030, 0.090 after Holm's …"."""
    said = f"p {p_value(p)}" if p < 0.0005 else f"p = {p_value(p)}"
    if corrected is None or p_value(corrected) == p_value(p):
        return said
    return f"{said}, {p_value(corrected)} after Holm's correction over {among}"


def why_not(p: float, corrected: float, low: float, high: float) -> str:
    """Why an interval and a verdict disagree, as a clause that begins with "; "; "" where they agree."""
    outside = low > 0 or high < 0
    if outside == (corrected < CONVENTION):
        return ""
    if outside:
        which = "is of this pair alone and not corrected" if p < CONVENTION else "is approximate, and the test decides"
        return f"; the interval leaves out 0, but {which}"
    return "; the interval holds 0, but is approximate, and the test decides"
