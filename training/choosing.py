"""Choosing among passages is shown, not only asked for: where a model should look when an answer begins.

The first token of an answer is the first of its passage. A model of this size takes very long to find out by the token
alone that the words of the question say which one. So its attention is told as well: at the start of an answer some
heads are to look where the right passage begins.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.batches import Batch
from training.model import Llama, rotations

LAYERS = (3, 4)
HEADS = (0, 1)


class Chooser:
    """Keeps what ``LAYERS`` saw in the last forward pass, and says how far their ``HEADS`` were from looking right."""

    def __init__(self, model: Llama) -> None:
        self._shape = model.shape
        self._attentions = [model.layers[layer].self_attn for layer in LAYERS]
        self._seen: dict[int, Tensor] = {}
        for layer in LAYERS:
            model.layers[layer].self_attn.register_forward_pre_hook(self._keeper(layer))

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross entropy of the attention where answers begin; 0 where there is no passage to choose."""
        row, place = torch.nonzero(batch.cited >= 0, as_tuple=True)
        if not len(row):
            return torch.zeros(())
        unseen = _unseen(batch, row, place)
        wanted = batch.cited[row, place][:, None].expand(-1, len(HEADS)).flatten()
        turn = rotations(batch.positions, self._shape)
        losses: list[Tensor] = []
        for layer, attention in zip(LAYERS, self._attentions, strict=True):
            scores = attention.scores(self._seen[layer], turn, row, place)[:, HEADS]
            losses.append(functional.cross_entropy(scores.masked_fill(unseen, float("-inf")).flatten(0, 1), wanted))
        return torch.stack(losses).mean()

    def _keeper(self, layer: int) -> Any:
        def keep(_: Any, given: tuple[Tensor, ...]) -> None:
            self._seen[layer] = given[0]

        return keep


def _unseen(batch: Batch, row: Tensor, place: Tensor) -> Tensor:
    """What each chosen token may not look at, ``[chosen, 1, length]``."""
    segment = batch.segment[row]
    seen = (segment == batch.segment[row, place][:, None]) | (segment == 0)
    return ~seen[:, None] | (torch.arange(segment.shape[1]) > place[:, None])[:, None]
