"""Times of the day: what says am or pm."""

import re

_CLOCK = re.compile(r"(\d{1,2})(?::([0-5]\d))?(?::([0-5]\d))? ?([ap])\.? ?m\.?", re.IGNORECASE)
_HALF_OF_DAY = re.compile(r"[ap]\.? ?m\.?", re.IGNORECASE)


def is_clock(text: str) -> bool:
    """Whether a text is a time of the day: it says am or pm."""
    return len(text) < 20 and _CLOCK.fullmatch(text) is not None


def same_clocks(gold: str, answer: str) -> bool:
    """Times are equal by hours, minutes and seconds; am and pm may be left out on one side."""
    texts = [(text, _HALF_OF_DAY.search(text)) for text in (gold, answer)]
    clocks = [_CLOCK.fullmatch(text if half else f"{text} am") for text, half in texts if len(text) < 20]
    if len(clocks) < 2 or clocks[0] is None or clocks[1] is None:
        return False
    halves = {half[0][0].lower() for _, half in texts if half}
    left, right = ([int(part or 0) for part in clock.groups()[:3]] for clock in clocks if clock)
    return left == right and len(halves) < 2
