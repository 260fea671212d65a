"""The terms of a text, English or Chinese: what BM25 counts and what coverage is measured in. Pure.

We cut terms ourselves, and Milvus only splits at blanks, so that every server ranks alike: Milvus has stemmers and a
Chinese segmenter that Milvus Lite lacks. English words lose case, plural and tense; Chinese becomes overlapping pairs
of characters and the characters themselves, which need no dictionary (Nie, Gao, Zhang, Zhou: "On the use of words and
n-grams for Chinese information retrieval", 2000): the characters find what is said in other words, the pairs tell
entries apart. Both are written as their code points: a tokenizer that would split Chinese leaves them whole.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Language = Literal["en", "zh"]

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_IS_HAN = re.compile(rf"[{_HAN}]")
_WORD = re.compile(rf"[^\W\d_{_HAN}]+")

# Words that carry no topic in a question. "not", "without" and "before" stay: they tell entries apart.
_STOP_WORDS = frozenset(
    """
    a an the this that these those it its i me my mine we us our you your he she they them their is are was were be been
    being am do does did doing have has had having will would shall should can could may might must to of in on at by
    for from with about as and or but if so than then there here what which who whom when where why how just please s t
    m ve re ll d don doesn
    """.split()  # noqa: SIM905 - words are read as words
)
_STOP_PAIRS = frozenset("怎么 什么 可以 请问 如何 多少 是否 能否 一个 我的 你们 我们".split())  # noqa: SIM905 - likewise
_STOP_CHARACTERS = frozenset("的了吗呢吧啊呀嘛么着地得我你您他她它们这那是有在个一几多少什怎哪谁为样请问")
_PAIR = re.compile(r"(?:u[0-9a-f]{4,5}){2}")


def terms(text: str) -> list[str]:
    """The terms of ``text`` in order, repeats included; ASCII or word characters only, so blanks can join them."""
    found: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        found += _characters(run) if _IS_HAN.match(run) else _words(run)
    return found


def language(text: str) -> Language:
    """``zh`` if Chinese characters make up most of the words, else ``en``. Brand names do not turn Chinese English."""
    han = len(_IS_HAN.findall(text))
    return "zh" if han > len(_WORD.findall(text)) else "en"


def is_pair(term: str) -> bool:
    """Whether a term is two Chinese characters that stand side by side."""
    return _PAIR.fullmatch(term) is not None


def _words(run: str) -> list[str]:
    return [] if run in _STOP_WORDS else [_stem(run)]


def _characters(run: str) -> list[str]:
    pairs = (run[i : i + 2] for i in range(len(run) - 1))
    kept = [pair for pair in pairs if pair not in _STOP_PAIRS]
    return [_spelled(term) for term in (*kept, *(one for one in run if one not in _STOP_CHARACTERS))]


def _spelled(characters: str) -> str:
    return "".join(f"u{ord(character):x}" for character in characters)


def _stem(word: str) -> str:
    """``orders``, ``ordered`` and ``ordering`` become ``order``; a light stemmer that never joins unlike words."""
    word = _without_plural(word)
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 3 and re.search("[aeiouy]", stem):
            return _without_double(stem)
    return word.removesuffix("e") if len(word) > 4 else word


def _without_plural(word: str) -> str:
    """Harman's S-stemmer (1991)."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("es") and word[-3:-2] in ("s", "x", "z", "h"):
        return word[:-2]
    if word.endswith("s") and len(word) > 3 and word[-2] not in "us":
        return word[:-1]
    return word


def _without_double(stem: str) -> str:
    doubled = len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsz"
    return stem[:-1] if doubled else stem.removesuffix("e") if len(stem) > 4 else stem
