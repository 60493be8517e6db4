"""Sentences that make another problem of the one beside them, in the languages that training sets have.

>>> changes("halve it."), changes("box it."), changes("puis élevez le résultat au carré.")
(True, False, True)
"""

from __future__ import annotations

import re

# What is done with an answer that stays the same: it is written, explained, checked and placed.
KEEPING = (
    "write put give box fbox boxed state report express provide show explain justify verify check recheck present return "
    "output print submit type place enclose wrap include format leave simplify reduce highlight mark enter fill record "
    "solve do answer work try think read use keep make have do don is are was in on at for to of with without from about "
    "after before when if once as by and or but not only that this then so because until than verifying checking "
    "find get obtain compute calculate derive reach determine evaluate prove tell say repeat restate summarize discuss "
    "describe illustrate underline circle bold label round approximate estimate send post share note see let"
)
RESULT = r"(?:it|th(?:is|at|em)|(?:the|your)(?: final| resulting| numerical)? (?:result|answer|value|solution|outcome|number|output)s?)"
# "Halve it", "then triple the answer": an imperative that no list holds.
IMPERATIVE = re.compile(
    rf"(?:\A\W*|[.,;:!?] )(?:(?:and|then|now|next|finally|afterwards|please),? ){{0,2}}"
    rf"(?!(?:{'|'.join(KEEPING.split())})\b)[a-z]+(?<!ing)(?<!ly) {RESULT}\b"
)
ENGLISH = (
    r"halv(?:e|ed|ing) half\sof negat(?:e|ed|ing|ion) negative\sof opposite\sof logarithms? (?:co)?sine (?:co)?tangent\sof "
    r"absolute\svalue power\sof \w+th\spower conjugate factorial invert(?:ed)? revers(?:e|ed) backwards hexadecimal octal "
    r"(?:number\sof|reverse|count|sum|add|last|first)(?:\sup)?(?:\sthe)?\s(?:\w+\s)?digits? digits?\sof "
    r"flip\w*\sthe\ssign the\s(?:negative|opposite) "
    r"(?:increase|decrease|raise|reduce)\sit"
)
# Stems stand for every form that no other language's word for something harmless shares.
OTHERS = (
    r"au\scarré au\scube ajoute[rz]? soustra\w+ multipli(?:e|ez|er|ca|cala|cad|car|que|ziere|zieren)\b divise[rz]? doubl(?:ez|er) "
    r"moitié racine logarithme inverse[rz] quadriere\w* quadrat subtrahier\w+ addier\w+ dividier\w+ verdopp\w+ halbier\w+ "
    r"wurzel logarithmus negier\w+ kehrwert zieh\w*\s\w+\sab cuadrado sum(?:a|e|ar|ale)\s\w+\sa[l]? súma\w+ rest(?:a|e|ar)\s\w+ "
    r"réstal\w+ divid(?:e|a|i|ir)\b duplic\w+ mitad raíz logaritmo eleva\w* quadrato sottra\w+ moltiplica\w* raddoppi\w+ "
    r"dimezz\w+ radice quadrado subtrai\w* multiplique\w* dobr(?:e|ar) metade raiz квадрат\w* прибав\w+ сложи\w* вычт\w+ "
    r"умнож\w+ раздели\w* удво\w+ половин\w* корень логарифм\w* возвед\w+ kwadrat\w* dodaj\s\w+\sdo dodaj\s\w+\W*\Z odejmij\w* "
    r"pomnóż\w* podziel\w* podwój\w* połow\w* pierwiastek logarytm\w* přičt\w+ odečt\w+ vynásob\w+ vyděl\w+ zdvojnásob\w+ "
    r"vermenigvuldig\w* verdubbel\w* halveer\w* karesini çarp\w* nhân bình\sphương gấp\sđôi"
)
EAST = re.compile(
    "平方|立方|二乗|三乗|[2²3³]乗|加上|加[一二三四五六七八九十\\d]|减去|减[一二三四五六七八九十\\d]|乘以|除以|相[加减乘除]|倍"
    "|倒数|对数|绝对值|相反数|之[和差积]|各位数字|足[すし]|引[いき]|掛け|割[りっる]|半分|제곱|더하|더해|빼|곱하|곱해|나누|나눠|절반|두 배"
)
WORDS = re.compile(rf"\b(?:{'|'.join(f'{ENGLISH} {OTHERS}'.split())})(?!\w)")
# "Take the negative of:", "the number of digits in:", "Add 3 to:", but not "the answer to:".
APPLIED = re.compile(r"\b(?:of|in|to|from|by)\W*\Z")
VERB_ALONE = re.compile(r"\W*(?:then |now )?(?:negate|halve|double|triple|square|cube|invert|reverse)\b[^.]*[:：]\s*\Z")


def changes(plain: str) -> bool:
    """Whether a sentence behind a problem, in lower case, does something with the problem's answer."""
    return bool(IMPERATIVE.search(plain) or WORDS.search(plain) or EAST.search(plain))


def applies(plain: str) -> bool:
    """Whether a lead-in, in lower case, is an operation on what follows it."""
    bare = plain.rstrip(" \t\n:：")
    led = bare != plain.rstrip() and APPLIED.search(bare)
    return VERB_ALONE.fullmatch(plain) is not None or bool(led and (WORDS.search(plain) or EAST.search(plain)))
