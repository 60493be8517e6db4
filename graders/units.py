"""The vocabulary of units: the only words that may follow a number without changing it."""

import re

# canonical name: spellings. Kept as one table because it decides scores: a word that is not here is not a unit.
_SPELLINGS = {
    "percent": "percent pct percents",
    "degree": "degree degrees deg",
    "radian": "radian radians rad",
    "dollar": "dollar dollars usd bucks",
    "cent": "cent cents",
    "yuan": "yuan rmb",
    "euro": "euro euros",
    "pound-sterling": "gbp",
    "rupee": "rupee rupees rs",
    "yen": "yen",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres cms",
    "dm": "dm decimeter decimeters",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres kms",
    "inch": "inch inches in",
    "foot": "foot feet ft",
    "yard": "yard yards yd yds",
    "mile": "mile miles mi",
    "light-year": "light-year light-years",
    "acre": "acre acres",
    "hectare": "hectare hectares ha",
    "mg": "mg milligram milligrams",
    "g": "g gram grams",
    "kg": "kg kilogram kilograms kgs",
    "ton": "ton tons tonne tonnes",
    "pound": "pound pounds lb lbs",
    "ounce": "ounce ounces oz",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "l": "l liter liters litre litres",
    "gallon": "gallon gallons gal",
    "quart": "quart quarts",
    "pint": "pint pints",
    "cup": "cup cups",
    "ms": "ms millisecond milliseconds",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "year years yr yrs",
    "mph": "mph",
    "kph": "kph",
    "hz": "hz hertz",
    "n": "n newton newtons",
    "j": "j joule joules",
    "w": "w watt watts",
    "v": "v volt volts",
    "unit": "unit units",
    "米": "米",
    "厘米": "厘米",
    "元": "元",
    "度": "度",
}
# Things that are counted, all one unit: which of them is written does not make a number another number. A measure is
# another unit, so 18 ways are not 18 minutes.
_COUNTED = (
    "people person persons men women boys girls children students members players teams pairs groups ways solutions "
    "points times apples oranges marbles balls books pages cards coins pennies nickels dimes quarters boxes bags "
    "pieces items cookies tickets games cars triangles squares rectangles lines sides edges vertices faces numbers "
    "integers digits zeros factors divisors terms values outcomes arrangements combinations permutations subsets "
    "elements steps tiles blocks cubes rows columns seats rooms houses trees flowers birds dogs cats eggs animals"
)
_CANONICAL = {spelling: name for name, row in _SPELLINGS.items() for spelling in row.split()}
_CANONICAL |= dict.fromkeys(_COUNTED.split(), "count")
_CANONICAL["miles/hour"] = "mph"
_CANONICAL["mile/h"] = "mph"

MAX_UNIT_CHARS = 40  # "cubic centimeters per second" has 28; anything longer is prose and not looked at
_AREA = re.compile(r"^(?:square|sq\.?) +(.*)|^(.*\w)(?:\^\{?2\}?| +squared)$")
_VOLUME = re.compile(r"^(?:cubic|cu\.?) +(.*)|^(.*\w)(?:\^\{?3\}?| +cubed)$")


def canonical_unit(text: str) -> str | None:
    """Canonical name of a unit as people write it (`square feet` and `ft^2` are `foot^2`); None if it is no unit."""
    text = text.strip().strip(".").strip().lower()
    if not text or len(text) > MAX_UNIT_CHARS:
        return None
    for power, pattern in (("2", _AREA), ("3", _VOLUME)):
        found = pattern.match(text)
        if found:
            base = canonical_unit(found[1] or found[2])
            return base and (base if base in ("unit", "count") else f"{base}^{power}")
    if text in _CANONICAL:
        return _CANONICAL[text]
    parts = re.split(r" +per +| *(?<!\^)/ *", text)
    if len(parts) == 2:
        above, below = canonical_unit(parts[0]), canonical_unit(parts[1])
        if above and below:
            return _CANONICAL.get(f"{above}/{below}", f"{above}/{below}")
    return None


_MARKED = re.compile(r"\\unit\{([^{}]*)\}")


def units_differ(left: str, right: str) -> bool:
    """Whether two normalized texts both name units, and not the same ones."""
    if "\\unit" not in left or "\\unit" not in right:
        return False
    found = [set(filter(None, _MARKED.findall(text))) for text in (left, right)]
    return all(found) and found[0] != found[1] and "unit" not in found[0] | found[1]


def compatible(left: str, right: str) -> bool:
    """Whether two canonical units (empty: none written) may stand for each other: one is missing or unspecific."""
    return left == right or not left or not right or "unit" in (left, right)
