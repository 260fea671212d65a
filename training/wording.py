"""Other words for a question: dropped, swapped, inflected, misspelt, framed as people ask."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random

from training import topics

_FRAMES = (
    "where do I {}", "is it possible to {}", "can I {}", "how do I {}", "how can I {}", "what about {}",
    "I want to know: {}", "question about {}", "tell me about {}", "do you know {}", "what do you say about {}",
    "{}, how does that work",
    "need help with {}", "please explain {}", "I have a question: {}", "could you tell me {}", "{} please",
    "any info on {}",
)  # fmt: skip
_OPENINGS = (
    "hi, ",
    "hello, ",
    "Hi! ",
    "please: ",
    "quick question: ",
    "sorry, ",
    "one more thing: ",
    "and ",
    "so ",
    "ok, ",
)
_FRAMES_ZH = ("请问{}", "想问一下{}", "{}怎么办", "{}是怎么回事", "关于{}", "我想知道{}", "{}呢", "麻烦问下，{}", "{}")


def reworded(question: str, rng: Random, synonyms: Mapping[str, Sequence[str]]) -> str:
    """The same question in other words. Each kind of change happens sometimes; now and then nothing changes."""
    if is_han(question):
        return _reworded_han(question, rng)
    text = question
    if rng.random() < 0.5:
        text = _swapped(text, rng, synonyms)
    if rng.random() < 0.4:
        text = _thinned(text, rng)
    if rng.random() < 0.12:
        text = _reordered(text, rng)
    if rng.random() < 0.12:
        text = rng.choice(_OPENINGS) + text
    if rng.random() < 0.15:
        text = misspelt(text, rng)
    return _dressed(text, rng)


def from_text(text: str, rng: Random) -> str:
    """A question made of words of a passage: a few content words in a frame, or a run of the text itself."""
    if is_han(text):
        start = rng.randrange(max(1, len(text) - 8))
        run = re.sub(r"[，。！？、；：\s]", "", text[start : start + rng.randint(5, 12)])
        return rng.choice(_FRAMES_ZH).format(run)
    words = re.findall(r"[\w'@.-]*\w", text)
    content = [i for i, word in enumerate(words) if word.lower() not in _EMPTY and len(word) > 2]
    chosen = sorted(rng.sample(content, min(len(content), rng.randint(2, 5))))
    if rng.random() < 0.3 and chosen:
        start = chosen[0]
        kept = [words[i] for i in range(start, min(len(words), start + rng.randint(4, 9)))]
    else:
        kept = [words[i] for i in chosen]
        if rng.random() < 0.3:
            rng.shuffle(kept)
    asked = rng.choice(_FRAMES).format(" ".join(kept)) if rng.random() < 0.7 else " ".join(kept)
    return _dressed(misspelt(asked, rng) if rng.random() < 0.1 else asked, rng)


def short(text: str, rng: Random) -> str:
    """A follow-up with a word or two of a passage: "and the receipt?"."""
    if is_han(text):
        bare = re.sub(r"[^\u4e00-\u9fff]", "", text)
        start = rng.randrange(max(1, len(bare) - 4))
        return rng.choice(("那{}呢？", "{}呢", "{}呢？", "也包括{}吗")).format(bare[start : start + rng.randint(2, 4)])
    content = [word for word in re.findall(r"[\w-]{3,}", text) if word.lower() not in _EMPTY]
    words = " ".join(rng.sample(content, min(len(content), rng.randint(1, 2))))
    return rng.choice(("and {}?", "And the {}?", "what about {}?", "and with {}?", "How about the {}?")).format(words)


def hint(text: str, rng: Random) -> str:
    """A run of the passage itself with a few words dropped: the easiest question, for early training."""
    words = list(re.sub(r"[，。！？、；：\s]", "", text)) if is_han(text) else re.findall(r"[\w'@.-]*\w", text)
    start = rng.randrange(max(1, len(words) - 5))
    kept = [word for word in words[start : start + rng.randint(5, 12)] if rng.random() < 0.85]
    return ("" if is_han(text) else " ").join(kept or words[:1]) + rng.choice(("?", ""))


def is_han(text: str) -> bool:
    """Whether ``text`` is mainly Chinese."""
    return len(re.findall(r"[\u4e00-\u9fff]", text)) * 3 > len(text)


def misspelt(text: str, rng: Random) -> str:
    """``text`` with one letter swapped, lost or doubled in one word of four or more letters."""
    words = [m.span() for m in re.finditer(r"[A-Za-z]{4,}", text)]
    if not words:
        return text
    start, end = rng.choice(words)
    at = rng.randrange(start + 1, end - 1)
    changes = (text[at + 1] + text[at], text[at + 1], text[at] * 2 + text[at + 1])
    return text[:at] + rng.choice(changes) + text[at + 2 :]


def _swapped(text: str, rng: Random, synonyms: Mapping[str, Sequence[str]]) -> str:
    """Support words replaced by their like, now and then another word by a dictionary synonym or inflection."""
    if rng.random() < 0.8 and _SUPPORT_WORD.search(text):
        return _SUPPORT_WORD.sub(lambda m: rng.choice(_LIKE[m[0].lower()]) if rng.random() < 0.5 else m[0], text)
    return re.sub(r"[A-Za-z]{4,}", lambda m: _other_word(m[0], rng, synonyms), text)


def _other_word(word: str, rng: Random, synonyms: Mapping[str, Sequence[str]]) -> str:
    chance = rng.random()
    if chance < 0.12 and word.lower() in synonyms:
        return rng.choice(synonyms[word.lower()])
    if chance < 0.2 and word.islower():
        return (
            word[:-1]
            if word.endswith("s")
            else rng.choice((f"{word}s", f"{word.rstrip('e')}ing", f"{word.rstrip('e')}ed"))
        )
    return word


def _thinned(text: str, rng: Random) -> str:
    words = text.split()
    kept = [w for w in words if rng.random() > (0.45 if w.lower().strip("?,.") in _EMPTY else 0.08)]
    return " ".join(kept) if len(kept) > 1 else text


def _reordered(text: str, rng: Random) -> str:
    words = text.rstrip("?.").split()
    cut = rng.randrange(1, len(words)) if len(words) > 2 else 0
    return " ".join((*words[cut:], *words[:cut]))


def _dressed(text: str, rng: Random) -> str:
    bare = text.strip().rstrip("?. ")
    end = rng.choice(("?", "?", "?", "", ".", " ?"))
    first = bare[:1].upper() if rng.random() < 0.5 else bare[:1].lower()
    shown = first + bare[1:] + end
    return shown.lower() if rng.random() < 0.12 else shown


def _reworded_han(question: str, rng: Random) -> str:
    bare = question.rstrip("？。！?")
    if rng.random() < 0.4:
        bare = rng.choice(_FRAMES_ZH[:2] + _FRAMES_ZH[5:]).format(bare)
    if rng.random() < 0.15 and len(bare) > 5:
        at = rng.randrange(len(bare))
        bare = bare[:at] + bare[at + 1 :]
    return bare + rng.choice(("？", "", "?", "。"))


def _lists(name: str) -> list[list[str]]:
    rows = (line.split(" = ", 1) for line in topics.lines("words"))
    return [values.split("|") for key, values in rows if key == name]


_EMPTY = frozenset(_lists("empty")[0])
_LIKE = {word: group for group in _lists("like") for word in group}
_SUPPORT_WORD = re.compile(rf"(?i)\b({'|'.join(map(re.escape, sorted(_LIKE, key=len, reverse=True)))})\b")
