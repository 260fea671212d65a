"""Batches: scenes of like length side by side; a question sees the shared prefix and itself, not its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import IterableDataset

from training import scenes, tokens
from training.entries import Corpus
from training.tokens import Tree

FIRST, QUESTION, ELSEWHERE = 2.0, 0.15, 0.05
_POOL = 12
_CONTEXT = 4


@dataclass(frozen=True)
class Batch:
    """Tensors ``[batch, length]``. ``weight`` says how much predicting ``target`` counts; ``segment`` is 0 in a shared
    prefix, 1, 2, … in its questions, -1 in padding. ``cited`` is, where an answer begins, the place in the row at
    which the passage that it copies begins; -1 elsewhere, and where there is but one."""

    ids: Tensor
    positions: Tensor
    segment: Tensor
    target: Tensor
    weight: Tensor
    cited: Tensor

    def mask(self) -> Tensor:
        """Attention mask ``[batch, 1, length, length]``: 0 where a token may look, -inf elsewhere."""
        length = self.ids.shape[1]
        same = self.segment[:, :, None] == self.segment[:, None, :]
        seen = (same | (self.segment[:, None, :] == 0)) & torch.ones(length, length, dtype=torch.bool).tril()
        return torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))[:, None]


@dataclass(frozen=True)
class Stage:
    """What the batches of one part of training hold: ``size`` padded tokens, passages up to ``longest`` characters."""

    size: int = 6000
    longest: int = 350
    plain: bool = False
    whole: int = 2
    easy: bool = False


class Scenes(IterableDataset[Batch]):
    """An endless stream of batches of one stage."""

    def __init__(self, work: Path, stage: Stage, seed: int) -> None:
        self.work, self.stage, self.seed = work, stage, seed

    def __iter__(self) -> Iterator[Batch]:
        rng = Random(self.seed)
        corpus = Corpus.read(self.work / "corpus")
        tokenizer = Tokenizer.from_file(str(self.work / "tokenizer.json"))
        while True:
            yield from self._pool(rng, corpus, tokenizer)

    def _pool(self, rng: Random, corpus: Corpus, tokenizer: Tokenizer) -> list[Batch]:
        """A dozen batches, sorted by length inside, in random order."""
        trees: list[Tree] = []
        while sum(map(len, trees)) < _POOL * self.stage.size:
            scene = scenes.draw(rng, corpus, longest=self.stage.longest, plain=self.stage.plain, easy=self.stage.easy)
            tree = tokens.tree(tokenizer, scene, self.stage.whole)
            if len(tree) <= 1400 and len(tree.prefix) <= 900:
                trees.append(tree)
        trees.sort(key=len)
        batches = [collate(group, rng) for group in _groups(trees, self.stage.size)]
        rng.shuffle(batches)
        return batches


def repeats(rng: torch.Generator, size: int, length: int, alphabet: int = 0) -> Batch:
    """Random tokens, then the same again: the shortest way to learn to copy. Only the repeat counts.

    With ``alphabet`` each row is made of that many different tokens, and something else stands between it and its
    repeat. Then the last token alone does not say where to go on: only the last few together do.
    """
    half = _tokens(rng, size, length)
    between = half[:, :0]
    if alphabet:
        chosen = _tokens(rng, size, alphabet)
        half = chosen.gather(1, torch.randint(alphabet, (size, length), generator=rng))
        between = _tokens(rng, size, length // 3)
    ids = torch.cat((half, between, half), dim=1)
    weight = torch.zeros(ids.shape)
    weight[:, ids.shape[1] - length + (_CONTEXT if alphabet else 0) : -1] = 1.0
    positions = torch.arange(ids.shape[1]).expand(size, -1)
    nowhere = torch.full_like(ids, -1)
    return Batch(ids, positions, torch.zeros_like(ids), ids.roll(-1, dims=1), weight, nowhere)


def _tokens(rng: torch.Generator, size: int, length: int) -> torch.Tensor:
    return torch.randint(len(tokens.SPECIAL), tokens.VOCABULARY, (size, length), generator=rng)


def collate(trees: list[Tree], rng: Random) -> Batch:
    """Trees side by side, padded to the longest."""
    length = max(map(len, trees))
    rows = [_row(tree, length, rng) for tree in trees]
    ids, positions, segment, target, cited = (torch.tensor([row[i] for row in rows]) for i in range(5))
    return Batch(ids, positions, segment, target, torch.tensor([row[5] for row in rows]), cited)


def _row(
    tree: Tree, length: int, rng: Random
) -> tuple[list[int], list[int], list[int], list[int], list[int], list[float]]:
    start = len(tree.prefix)
    several = len({branch.cited for branch in tree.branches} - {-1}) > 1
    ids, positions, segment = list(tree.prefix), list(range(start)), [0] * start
    target = [*tree.prefix[1:], 0][:start]
    cited = [-1] * start
    weight = ([ELSEWHERE * 4 if rng.random() < 0.25 else 0.0 for _ in range(start - 1)] + [0.0])[:start]
    for number, branch in enumerate(tree.branches, 1):
        count, asked = len(branch.ids), len(branch.ids) - branch.answer
        ids += branch.ids
        positions += range(start, start + count)
        segment += [number] * count
        target += [*branch.ids[1:], 0]
        cited += [-1] * (asked - 1) + [branch.cited if several else -1] + [-1] * branch.answer
        weight += [QUESTION] * (asked - 1) + [FIRST] + [1.0] * (branch.answer - 1) + [0.0]
    padding = length - len(ids)
    return (
        ids + [0] * padding, positions + [0] * padding, segment + [-1] * padding, target + [0] * padding,
        cited + [-1] * padding, weight + [0.0] * padding,
    )  # fmt: skip


def _groups(trees: list[Tree], size: int) -> Iterator[list[Tree]]:
    group: list[Tree] = []
    for tree in trees:
        if group and len(tree) * (len(group) + 1) > size:
            yield group
            group = []
        group.append(tree)
    if group:
        yield group
