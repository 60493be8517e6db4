"""Answers that are words: a choice's letter, or a short text. In formulas and names the case of letters matters."""

import re


def word_set(words: str) -> frozenset[str]:
    """The words of a text, as a table is best written."""
    return frozenset(words.split())


# A letter is written as a choice if something round it says so; a lone letter may be a name.
_LETTER = re.compile(r"(?:(?:option|choice) )?(?:\(([A-Ja-j])\)|([A-Ja-j])([.):]?))", re.IGNORECASE)
# After the letter comes what it stands for. An operator right after a bracket makes it a formula: `(A)-5`.
_LETTER_WITH_TEXT = re.compile(
    r"(?:\(([A-J])\)(?!\s*(?:[-,;/+*^=<>&|!]|[A-Za-z]$))|([A-J])(?:\.(?!\S?\d)|[:)]))"
    r"\s*(?![,;/+*^=<>&|!]|and |or |if |\\(?:neq|approx|leq|geq|pm|\\)|和|或)([\s\S]+)"
)
_HEDGES = word_set(
    "or not wrong incorrect false untrue none neither nor isn't isnt never cannot unlikely eliminated excluded invalid"
)
_LABEL = re.compile(
    r"\([A-J]\)|(?<![A-Za-z\\])[A-J](?:[.):]|(?![A-Za-z'_^(])(?! [a-z]))|(?<![A-Za-z\\])[B-HJ](?= [a-z])"
)
_ARTICLES = frozenset(["a", "an", "the"])
# Words of three letters and fewer that are prose; longer runs of letters are prose unless they name a function.
_SHORT_WORDS = word_set(
    "yes no odd even all one two six ten red sum max min avg the and for not old new men day far mon tue wed thu fri"
    " sat sun jan feb mar apr may jun jul aug sep oct nov dec any add are is it of or to in on at by if so non per new"
    " his her she he we you who tom tim sam bob joe amy ann sue dan ben max mia leo eva kim roy ray jim tie win"
)
_RUN = re.compile(r"[A-Za-z]++")
_PROSE_LETTERS = 4


def is_prose(word: str) -> bool:
    """Whether a run of letters is a word of prose, in which case does not matter, and no product of names."""
    lower = word.lower()
    if lower in _SHORT_WORDS:
        return len(word) > 1
    return len(word) >= _PROSE_LETTERS and any(vowel in lower for vowel in "aeiouy") and not _is_points(word)


def _is_points(word: str) -> bool:
    """`ABCD` names points."""
    return word.isupper() and len(word) == _PROSE_LETTERS and len(set(word)) == len(word) and word < "ABD"


_SEVERAL = re.compile(r"[A-J]{2,6}")
_LISTED = re.compile(r"\(?[A-J]\)?(?:(?:,| and |and | )+\(?[A-J]\)?)+")


def same_choice(gold: str, answer: str) -> bool:
    """`A`, `(A)`, `A.` and `A. text` are choice A, but for text with another label or a hedge in it; `AC` is `A, C`."""
    several = [text for text in (gold, answer) if _SEVERAL.fullmatch(text) and [*text] == sorted({*text})]
    listed = [text for text in (gold, answer) if _LISTED.fullmatch(text)]
    if several and listed:
        return sorted(re.findall("[A-J]", listed[0])) == [*several[0]]
    letters = [_choice(text) for text in (gold, answer)]
    if letters[0] is None or letters[1] is None or letters[0][0].upper() != letters[1][0].upper():
        return False
    (left, left_dressed, left_text), (right, right_dressed, right_text) = letters[0], letters[1]
    if left_text and right_text:
        return left_text == right_text
    if left == right or (left_dressed and right_dressed):
        return True
    # A lone capital of the reference is a choice; a lone e or i of the answer is a number.
    return left.isupper() and (right_dressed or left in "ABCD")


def _choice(text: str) -> tuple[str, bool, str] | None:
    """The letter of a choice, whether it is written as one, and the text after it."""
    found = _LETTER.fullmatch(text)
    if found:
        letter = found[1] or found[2]
        return letter, len(text) > 1, ""
    found = _LETTER_WITH_TEXT.fullmatch(text)
    if found is None or len(text) > 400:
        return None
    said = found[3].replace("\\\\", " ")
    words = {word.lower() for word in re.findall(r"[A-Za-z']+", said)}
    if words & _HEDGES or _LABEL.search(said):
        return None
    return found[1] or found[2], True, found[3].strip().lower()


def same_words(gold: str, answer: str) -> bool:
    """Words of prose are compared without case, articles and full stops; texts without any are not compared here."""
    gold, answer = (
        re.sub(r"\\(max|min)(?![A-Za-z])", r"\1", _SYNONYMS.get(text.lower(), text)) for text in (gold, answer)
    )
    if "\\" in gold or re.search(r"[=+*/^_<>]", gold) or not any(map(is_prose, _RUN.findall(gold))):
        return False
    return _folded(gold) == _folded(answer)


_SYNONYMS = {"dne": "does not exist", "undefined": "does not exist", "not defined": "does not exist"}


def _folded(text: str) -> str:
    text = _RUN.sub(lambda found: found[0].lower() if is_prose(found[0]) else found[0], text.rstrip("."))
    words = text.split()
    pairs = zip(words, [*words[1:], ""], strict=False)
    return " ".join(word for word, following in pairs if not _is_article(word, following))


def _is_article(word: str, following: str) -> bool:
    return word.lower() in _ARTICLES and any(map(is_prose, _RUN.findall(following)))
