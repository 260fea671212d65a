"""A few free texts, in place of those that ``training.prepare`` fetches."""

from __future__ import annotations

from training.entries import Corpus

CORPUS = Corpus(
    english=[
        f"The {noun} stands by a {colour} door."
        for noun in ("lamp", "boat", "tree", "clock", "bridge", "organ")
        for colour in ("red", "blue", "green")
    ],
    chinese=[f"第{n}号门旁边有一盏很亮的灯，请不要随便打开它。" for n in range(20)],
    glosses=[(f"word{n}", f"A thing of the kind numbered {n} in a long catalogue") for n in range(30)],
    synonyms={"parcel": ["package"]},
)
