"""Batches: what a token may see, and where an answer is said to begin."""

from __future__ import annotations

from random import Random

import torch

from training import batches, choosing
from training.choosing import Chooser
from training.model import Llama, Shape
from training.tokens import Sequence, Tree

TREE = Tree(list(range(10, 30)), [Sequence([7, 8, 9, 14, 15], 2, 4), Sequence([7, 6, 9, 22, 23], 2, 12)])


def test_a_question_sees_the_prefix_and_itself_and_no_other_question() -> None:
    mask = batches.collate([TREE], Random(1)).mask()[0, 0]
    seen = (mask[27] == 0).nonzero().flatten().tolist()
    assert seen == [*range(20), 25, 26, 27]


def test_where_an_answer_begins_the_place_of_its_passage_is_noted() -> None:
    cited = batches.collate([TREE], Random(1)).cited[0]
    assert {place: int(cited[place]) for place in range(30) if cited[place] >= 0} == {22: 4, 27: 12}


def test_a_single_passage_is_no_choice() -> None:
    single = Tree(TREE.prefix, TREE.branches[:1])
    assert batches.collate([single], Random(1)).cited.max() == -1


def test_the_more_the_attention_looks_at_the_right_passage_the_less_is_lost() -> None:
    torch.manual_seed(1)
    model = Llama(Shape())
    chooser, batch = Chooser(model), batches.collate([TREE], Random(1))
    rate, losses = 0.1, list[float]()
    watched = [model.layers[layer].self_attn.k_proj.weight for layer in choosing.LAYERS]
    for _ in range(8):
        model(batch.ids, batch.positions, batch.mask())
        loss = chooser.loss(batch)
        losses.append(loss.item())
        for weight, slope in zip(watched, torch.autograd.grad(loss, watched), strict=True):
            weight.data -= rate * slope
    assert losses[-1] < losses[0]


def test_where_nothing_is_chosen_nothing_is_lost() -> None:
    model = Llama(Shape())
    chooser, batch = Chooser(model), batches.repeats(torch.Generator(), 2, 10)
    model(batch.ids, batch.positions, batch.mask())
    assert chooser.loss(batch).item() == 0.0
