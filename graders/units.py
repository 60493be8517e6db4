r"""The vocabulary of units, and what a unit written in parts measures.

A unit has a canonical name (`foot*s^-1`), which a normalized text carries as `\unit{…}`, and from that a dimension and
a factor: two quantities with units compare by value, and only a dimension that differs makes them unlike.
"""

import re
from collections import Counter
from fractions import Fraction
from functools import lru_cache

from graders.words import word_set

# canonical name: (factor, dimension, spellings). One table because it decides scores: a word not in it is not a unit.
# A dimension is a product of base names with exponents; a name with an empty dimension is a dimension of its own.
_UNITS: dict[str, tuple[str, str, str]] = {
    "percent": ("1", "", "percent pct percents"),
    "degree": ("1", "", "degree degrees deg 度"),
    "arcminute": ("1/60", "degree", "arcminute arcminutes arcmin"),
    "arcsecond": ("1/3600", "degree", "arcsecond arcseconds arcsec"),
    "radian": ("1", "", "radian radians rad rads"),
    "celsius": ("1", "", "celsius ℃"),
    "fahrenheit": ("1", "", "fahrenheit ℉"),
    "dollar": ("100", "cent", "dollar dollars usd bucks 美元"),
    "cent": ("1", "cent", "cent cents"),
    "yuan": ("1", "", "yuan rmb 元"),
    "euro": ("1", "", "euro euros eur"),
    "pound-sterling": ("1", "", "gbp"),
    "rupee": ("1", "", "rupee rupees rs"),
    "yen": ("1", "", "yen"),
    "unit": ("1", "", "unit units"),
    "inch": ("0.0254", "m", "inch inches in"),
    "foot": ("0.3048", "m", "foot feet ft"),
    "yard": ("0.9144", "m", "yard yards yd yds"),
    "mile": ("1609.344", "m", "mile miles mi"),
    "nautical-mile": ("1852", "m", "nmi"),
    "knot": ("463/900", "m*s^-1", "knot knots kn"),
    "angstrom": ("1/10000000000", "m", "angstrom angstroms"),
    "light-year": ("1", "", "light-year light-years ly"),
    "parsec": ("1", "", "parsec parsecs pc"),
    "au": ("1", "", "au"),
    "acre": ("4046.8564224", "m^2", "acre acres"),
    "hectare": ("10000", "m^2", "hectare hectares ha"),
    "amu": ("1", "", "amu u"),
    "ton": ("1", "", "ton tons"),
    "tonne": ("1000", "kg", "tonne tonnes"),
    "pound": ("0.45359237", "kg", "pound pounds lb lbs"),
    "ounce": ("0.028349523125", "kg", "ounce ounces oz"),
    "gallon": ("4", "quart", "gallon gallons gal"),
    "quart": ("1", "quart", "quart quarts qt"),
    "pint": ("1/2", "quart", "pint pints pt"),
    "cup": ("1/4", "quart", "cup cups"),
    "min": ("60", "s", "min mins minute minutes"),
    "h": ("3600", "s", "h hr hrs hour hours"),
    "day": ("86400", "s", "day days"),
    "week": ("604800", "s", "week weeks wk wks"),
    "month": ("1", "month", "month months"),
    "year": ("12", "month", "year years yr yrs"),
    "decade": ("120", "month", "decade decades"),
    "century": ("1200", "month", "century centuries"),
    "rpm": ("1/60", "s^-1", "rpm"),
    "revolution": ("1", "", "revolution revolutions rev revs"),
    "kgf": ("1", "", "kgf"),
    "atm": ("101325", "kg*m^-1*s^-2", "atm atmosphere atmospheres"),
    "torr": ("1", "", "torr mmhg"),
    "米": ("1", "m", "米"),
    "平方米": ("1", "m^2", "平方米"),
    "平方厘米": ("0.0001", "m^2", "平方厘米"),
    "立方米": ("1", "m^3", "立方米"),
    "立方厘米": ("0.000001", "m^3", "立方厘米"),
    "厘米": ("0.01", "m", "厘米"),
    "毫米": ("0.001", "m", "毫米"),
    "千米": ("1000", "m", "千米 公里"),
    "千克": ("1", "kg", "千克 公斤"),
    "克": ("0.001", "kg", "克"),
    "秒": ("1", "s", "秒"),
    "分钟": ("60", "s", "分钟"),
    "小时": ("3600", "s", "小时 时"),
    "天": ("86400", "s", "天"),
    "岁": ("12", "month", "岁 年"),
}
# Units that take SI prefixes: symbol: (factor, dimension, names). Symbols keep their case, names do not.
_SI: dict[str, tuple[str, str, str]] = {
    "m": ("1", "m", "meter metre"),
    "g": ("0.001", "kg", "gram gramme"),
    "s": ("1", "s", "second sec"),
    "L": ("0.001", "m^3", "liter litre"),
    "l": ("0.001", "m^3", ""),
    "A": ("1", "A", "ampere amp"),
    "K": ("1", "K", "kelvin"),
    "mol": ("1", "mol", "mole"),
    "cd": ("1", "cd", "candela"),
    "N": ("1", "kg*m*s^-2", "newton"),
    "J": ("1", "kg*m^2*s^-2", "joule"),
    "W": ("1", "kg*m^2*s^-3", "watt"),
    "Pa": ("1", "kg*m^-1*s^-2", "pascal"),
    "Hz": ("1", "s^-1", "hertz"),
    "C": ("1", "A*s", "coulomb"),
    "V": ("1", "kg*m^2*s^-3*A^-1", "volt"),
    "F": ("1", "kg^-1*m^-2*s^4*A^2", "farad"),
    "Ω": ("1", "kg*m^2*s^-3*A^-2", "ohm"),
    "T": ("1", "kg*s^-2*A^-1", "tesla"),
    "Wb": ("1", "kg*m^2*s^-2*A^-1", "weber"),
    "H": ("1", "kg*m^2*s^-2*A^-2", "henry"),
    "eV": ("1", "eV", "electronvolt electron-volt"),
    "cal": ("1", "cal", "calorie"),
    "bar": ("100000", "kg*m^-1*s^-2", "bar"),
    "M": ("1000", "mol*m^-3", "molar"),
    "dyne": ("0.00001", "kg*m*s^-2", "dyne"),
    "erg": ("0.0000001", "kg*m^2*s^-2", "erg"),
    "B": ("8", "bit", "byte"),
    "b": ("1", "bit", "bit"),
}
_PREFIXES = {
    "Y": (24, "yotta"), "Z": (21, "zetta"), "E": (18, "exa"), "P": (15, "peta"), "T": (12, "tera"), "G": (9, "giga"),
    "M": (6, "mega"), "k": (3, "kilo"), "h": (2, "hecto"), "da": (1, "deca"), "d": (-1, "deci"), "c": (-2, "centi"),
    "m": (-3, "milli"), "μ": (-6, "micro"), "n": (-9, "nano"), "p": (-12, "pico"), "f": (-15, "femto"),
    "a": (-18, "atto"),
}  # fmt: skip
# Symbols that people write in any case.
_LOOSE = word_set("mm cm dm km mg kg ml kj kw kv kn kpa hz khz mhz ghz kwh hr min sec mph ft lb oz cms kms kgs mol ev")

# Letters that are names more often than units, although a unit has them for its symbol.
NEVER_ALONE = word_set("b B M u pt rs ha pc au as fs")
# Spellings that are words, or products of names, far more often than units.
_NO_UNITS = word_set("am pm Am Pm AM PM ab ad aL aT aB as PA Pt Tb Eb dB dT hA hF hC")
# Things that are counted, all one unit: which of them is written does not make a number another number. A measure is
# another unit, so 18 ways are not 18 minutes.
_COUNTED = (
    "people person persons men women boys girls children students members players teams pairs groups ways solutions "
    "points times apples oranges marbles balls books pages cards coins pennies nickels dimes quarters boxes bags "
    "pieces items cookies tickets games cars triangles squares rectangles lines sides edges vertices faces numbers "
    "integers digits zeros factors divisors terms values outcomes arrangements combinations permutations subsets "
    "elements steps multiples matches prizes teachers bottles cans candies toys pencils pens stamps workers scores hits bees fish shirts "
    "tiles blocks cubes rows columns seats rooms houses trees flowers birds dogs cats eggs animals "
    "个 人 种 次 名 本 只 条 位 件 张 支 块 辆 棵 头 颗"
)
_DERIVED = {"mph": "mile*h^-1", "kph": "km*h^-1", "kmh": "km*h^-1", "kwh": "kW*h", "kWh": "kW*h", "fps": "foot*s^-1",
            "psi": "lbf*inch^-2", "cc": "cm^3", "sqft": "foot^2", "Nm": "N*m", "Ns": "N*s"}  # fmt: skip


def _prefixed() -> dict[str, tuple[Fraction, str]]:
    """(factor, dimension) of every SI unit with and without a prefix, under its symbol."""
    found = {}
    for symbol, (factor, dimension, _) in _SI.items():
        found[symbol] = Fraction(factor), dimension
        for prefix, (power, _) in _PREFIXES.items():
            found.setdefault(prefix + symbol, (Fraction(factor) * Fraction(10) ** power, dimension))
    return found


def _spellings() -> dict[str, str]:
    """Canonical name of every spelling: symbols as they are, words in lower case."""
    found = dict.fromkeys(_COUNTED.split(), "count")
    found |= {symbol: symbol for symbol in _PREFIXED}
    for symbol, (_, _, names) in _SI.items():
        for name in names.split():
            for prefix, word in [("", ""), *((prefix, word) for prefix, (_, word) in _PREFIXES.items())]:
                found |= {word + name: prefix + symbol, word + name + "s": prefix + symbol}
    lower = {symbol.lower(): symbol for symbol in ("Hz", "Pa", "kHz", "MHz", "GHz", "kPa", "kJ", "kW", "kV", "kN")}
    found |= {loose: lower.get(loose, loose) for loose in _LOOSE if lower.get(loose, loose) in _PREFIXED}
    found |= {"cms": "cm", "kms": "km", "kgs": "kg", "ml": "mL", "ev": "eV", "secs": "s"}
    found |= {row: name for name, (_, _, rows) in _UNITS.items() for row in rows.split()}
    found |= {name: name for name in _DERIVED}
    return {spelling: name for spelling, name in found.items() if spelling not in _NO_UNITS}


_PREFIXED = _prefixed()
_CANONICAL = _spellings()

MAX_UNIT_CHARS = 60  # "kilograms times meters squared per second" has 42; anything longer is prose, not looked at
_TOKEN = re.compile(
    r"\s*+(?:(?P<per>/|÷|per\b)|(?P<times>\*|·|-(?=\s*[A-Za-zΩμ])|\btimes\b)"
    r"|(?P<raised>(?:square|sq\.?|cubic|cu\.?)\s)"
    r"|(?P<word>[A-Za-zμΩ℃℉]++(?:-(?:years?|miles?|volts?)\b)?|[\u4e00-\u9fff]++)\.?"
    r"|(?P<power>\^\s*+\{?\s*+(-?\d)\s*+\}?|\s(?:squared|cubed)\b)|(?P<bracket>[()]))"
)


@lru_cache(maxsize=4_000)
def canonical_unit(text: str) -> str | None:
    """Canonical name of a unit as people write it (`square feet` and `ft^2` are `foot^2`); None if it is not a unit.

    Reads products, quotients and powers: `kg m/s^2`, `miles per hour`, `N-m`. What follows a `/` or "per" divides.
    """
    text = text.strip().strip(".").strip().removesuffix(" old").replace("light year", "light-year")
    text = text.replace("degrees Celsius", "celsius").replace("degrees Fahrenheit", "fahrenheit")
    if not text or len(text) > MAX_UNIT_CHARS:
        return None
    powers = Counter[str]()
    sign, pos, raised, last = 1, 0, 1, ""
    while pos < len(text):
        found = _TOKEN.match(text, pos)
        if found is None:
            return None
        pos = found.end()
        if found["per"]:
            if not last or sign < 0:
                return None
            sign = -1
        elif found["raised"]:
            raised = 3 if found["raised"].startswith("cu") else 2
        elif found["power"]:
            if not last:
                return None
            exponent = int(found[6]) if found[6] else 3 if "cubed" in found["power"] else 2
            powers[last] += sign * (exponent - 1)
        elif found["word"]:
            name = _atom(found["word"])
            if name is None and found["word"].lower() in _ADJECTIVES and not powers:
                continue
            if name is None:
                return None
            last = name
            powers[last] += sign * raised
            raised = 1
    return _written(powers) if last and raised == 1 else None


# Words before a counted thing that do not change what is counted.
_ADJECTIVES = word_set(
    "different distinct possible right red blue green white black yellow whole total real positive small large such unique"
)


def _atom(word: str) -> str | None:
    """The canonical name of one word or symbol."""
    return _CANONICAL.get(word) or _CANONICAL.get(word.lower())


def _written(powers: Counter[str]) -> str | None:
    """The canonical name of a product of powers; None for a square of counted things."""
    if set(powers) <= {"unit", "count"}:
        if min(powers.values()) < 1 or powers["count"] > 1:
            return None
        return "count" if powers["count"] else f"unit^{powers['unit']}" if powers["unit"] > 1 else "unit"
    total = Counter[str]()
    for name, power in powers.items():
        for part, exponent in _factors(_DERIVED.get(name, name)):
            total[part] += power * exponent
    parts = sorted((name, power) for name, power in total.items() if power)
    return "*".join(name if power == 1 else f"{name}^{power}" for name, power in parts) or None


def _factors(dimension: str) -> list[tuple[str, int]]:
    pieces = [piece.partition("^") for piece in dimension.split("*")]
    return [(name, int(power or 1)) for name, _, power in pieces]


@lru_cache(maxsize=4_000)
def measure(unit: str) -> tuple[Fraction, str]:
    """(factor, dimension) of a canonical unit: one of it is `factor` of the base units of `dimension`."""
    if " " in unit:  # two units one after the other, as of `5%` of a length: they measure nothing together
        return Fraction(1), unit
    factor, total = Fraction(1), Counter[str]()
    for name, power in _factors(unit):
        if name in _PREFIXED:
            size, dimension = _PREFIXED[name]
        else:
            row = _UNITS.get(name, ("1", "", ""))
            size, dimension = Fraction(row[0]), row[1] or name
        factor *= size**power
        for base, exponent in _factors(dimension):
            total[base] += power * exponent
    return factor, "*".join(f"{name}^{power}" for name, power in sorted(total.items()) if power)


_MARKED = re.compile(r"\\unit\{([^{}]*)\}")


def units_differ(left: str, right: str) -> bool:
    """Whether two normalized texts both name units, and not the same ones."""
    if "\\unit" not in left or "\\unit" not in right:
        return False
    found = [set(filter(None, _MARKED.findall(text))) for text in (left, right)]
    return all(found) and found[0] != found[1] and "unit" not in found[0] | found[1]


def same_unit(left: str, right: str) -> bool:
    """Whether two canonical units (empty: none written) are the same, or one is missing or generic."""
    return conversion(left, right) == 1


def conversion(left: str, right: str) -> Fraction | None:
    """How many of `right` one of `left` is; None where they measure different things. A missing unit counts as equal to the other one."""
    if left == right or not left or not right or "unit" in (left, right):
        return Fraction(1)
    if {left, right} in ({"degree", "celsius"}, {"degree", "fahrenheit"}):
        return Fraction(1)  # the degrees of a temperature, of which one side does not say the scale
    (size, dimension), (other_size, other_dimension) = measure(left), measure(right)
    if dimension.replace("unit", "m") == other_dimension.replace("unit", "m"):
        return Fraction(1) if "unit" in dimension + other_dimension else size / other_size
    return None
