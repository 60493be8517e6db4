r"""Signs outside ASCII, spelled as LaTeX: models copy them from text, and data sets from several languages hold them."""

import re
import unicodedata

_SIGNS = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "‐": "-", "‑": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "•": "*",
    "∗": "*", "÷": "/", "∕": "/", "⁄": "/", "≤": r"\leq ", "⩽": r"\leq ", "≦": r"\leq ", "≥": r"\geq ", "⩾": r"\geq ",
    "≧": r"\geq ", "≠": r"\neq ", "≈": r"\approx ", "≒": r"\approx ", "≡": r"\equiv ", "∞": r"\infty ",
    "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∖": r"\setminus ", "±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "ℓ": r"\ell ",
    "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ", "…": r"\ldots ", "⋯": r"\ldots ", "€": r"\euro ",
    "£": r"\pounds ", "￥": "¥", "′": "'", "’": "'", "″": "''", "“": '"', "”": '"', "⟨": "(", "⟩": ")", "〈": "(",
    "〉": ")", "¢": r"\text{ cents}", "∨": r"\lor ", "∧": r"\land ", "→": r"\to ", "∣": "|", "∶": ":", "∠": r"\angle ",
    "△": r"\triangle ", "∛": r"\sqrt[3]", "、": ", ", "。": ".", "∼": r"\sim ", "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "∥": r"\parallel ", "⊥": r"\perp ", "‖": "|", "∉": r"\notin ",
    "₹": r"\rupee ", "【": "(", "】": ")",
    "\u212b": r"\text{ angstrom}", "\u00c5": r"\text{ angstrom}", "µ": r"\mu ", "Ω": r"\Omega ",
    "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "", "\u2062": "", "\u00ad": "",
    "\u2009": r"\,", "\u202f": r"\,", "\u2006": r"\,", "\u00a0": "~",
}  # fmt: skip
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "τ": "tau", "υ": "upsilon", "φ": "phi", "ϕ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma",
    "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi",
    "Ω": "Omega",
}  # fmt: skip
# Sentences round an answer, and words between its parts. Names of units are in `units`.
_CHINESE = {
    "和": " and ", "与": " and ", "及": " and ", "且": " and ", "或者": " or ", "或": " or ",
    "为整数": " is an integer", "是整数": " is an integer", "为实数": " is real", "无解": r"\emptyset ", "空集": r"\emptyset ",
    "全体实数": r"\mathbb{R}", "一切实数": r"\mathbb{R}",
    "负无穷": r"-\infty ", "正无穷": r"+\infty ", "无穷大": r"\infty ", "根号": "√",
}  # fmt: skip
# Whole blocks whose signs have one plain meaning: full width, bold and italic letters of formulas, roman numerals.
_BLOCKS = (range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800), range(0x2160, 0x2180))
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+-=()ni", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₙₖₘᵢⱼ", "0123456789+-=()aeoxnkmij", strict=True))


def _fraction(sign: str) -> str:
    above, _, below = unicodedata.normalize("NFKC", sign).partition("⁄")
    return rf"\frac{{{above}}}{{{below}}}"


def _table() -> dict[int, str]:
    table = {code: unicodedata.normalize("NFKC", chr(code)) for block in _BLOCKS for code in block}
    spelled = {ord(sign): f"\\{name} " for sign, name in _GREEK.items()}
    # The italic Greek letters of the blocks come out as Greek letters.
    table = {code: spelled.get(ord(sign), sign) if len(sign) == 1 else sign for code, sign in table.items()}
    fractions = {ord(sign): _fraction(sign) for sign in _VULGAR}
    return table | spelled | fractions | {ord(sign): text for sign, text in _SIGNS.items()}


_TRANSLATION = _table()
_SCRIPT = re.compile(f"([{''.join(_RAISED)}]++)|([{''.join(_LOWERED)}]++)")
_WORD = re.compile("|".join(sorted(_CHINESE, key=len, reverse=True)))
_MICRO = re.compile(r"(?<=[\d\s~])[μµ](m|g|s|L|l|A|V|F|H|W|N|J|C|mol)(?![A-Za-z])")
_RADICAL = re.compile(r"√\s*+(\d++(?:\.\d++)?|[A-Za-z])?")


def spell_in_ascii(text: str) -> str:
    r"""The text with signs outside ASCII spelled as LaTeX: `－５` is `-5`, `x⁻¹` is `x^{-1}`, `√2` is `\sqrt{2}`."""
    if text.isascii():
        return text
    text = text.replace("°C", r"^\circ\text{ C}").replace("°F", r"^\circ\text{ F}")
    text = _MICRO.sub(r"\\text{ μ\1}", _SCRIPT.sub(_script, text))
    text = _WORD.sub(lambda found: _CHINESE[found.group()], text)
    text = text.translate(_TRANSLATION)
    return _RADICAL.sub(lambda found: rf"\sqrt{{{found[1]}}}" if found[1] else r"\sqrt ", text)


def _script(found: re.Match[str]) -> str:
    sign, table = ("^", _RAISED) if found[1] else ("_", _LOWERED)
    return f"{sign}{{{''.join(table[each] for each in found.group())}}}"
