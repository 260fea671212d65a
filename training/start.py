"""First weights in which copying is already wired, roughly, so that training refines it instead of waiting for it.

An induction circuit takes two layers. In the first, heads look one token back and note what stood there; in the second,
heads look for places where the current token was noted, and hand on the token found there. Everything else starts small
and random. (The circuit: Olsson et al., "In-context learning and induction heads", 2022.)

Layout of the hidden vector at the start: numbers 0 to 94 are the token itself, 95 is a constant, 96 to 190 hold the
token before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.model import Llama

_TOKEN, _CONSTANT, _BEFORE = 95, 95, 96
_SPREAD, _LEVEL = 0.7, 3.0
_LOOK_BACK, _MATCH, _HAND_ON = 1.5, 2.1, 4.0
_FINAL = 0.15


@torch.no_grad()
def wire(model: Llama) -> None:
    """Set the first weights of ``model``. Its hidden width must be 192 and its heads 32 wide."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.03)
    for layer in model.layers:
        nn.init.normal_(layer.mlp.down_proj.weight, std=0.015)
        layer.self_attn.q_proj.weight.copy_(layer.self_attn.k_proj.weight)
    nn.init.constant_(model.norm.weight, _FINAL)
    _embed(model.embed_tokens.weight)
    _look_back(model)
    _match(model)


def _embed(weight: Tensor) -> None:
    weight.zero_()
    weight[:, :_TOKEN].normal_(std=_SPREAD)
    weight[:, _CONSTANT] = _LEVEL


def _look_back(model: Llama) -> None:
    """Layer 0, heads 0 to 2: query and key are constants whose rotary phases agree one token back."""
    attention, rates = model.layers[0].self_attn, _rates(model)
    for head in range(3):
        start = 32 * head
        for f in range(6):
            attention.k_proj.weight[start + f, _CONSTANT] = _LOOK_BACK
            attention.q_proj.weight[start + f, _CONSTANT] = _LOOK_BACK * rates[f].cos()
            attention.q_proj.weight[start + 16 + f, _CONSTANT] = -_LOOK_BACK * rates[f].sin()
        for number in range(start, min(start + 32, _TOKEN)):
            attention.v_proj.weight[number, number] = 0.5
            attention.o_proj.weight[_BEFORE + number, number] = 1.0


def _match(model: Llama) -> None:
    """Layer 1: each head compares sixteen numbers of the token with those noted elsewhere, in slow rotary slots."""
    attention = model.layers[1].self_attn
    slots = [*range(8, 16), *range(24, 32)]
    for head in range(6):
        for place, slot in enumerate(slots):
            number, row = 16 * head + place, 32 * head + slot
            if number < _TOKEN:
                attention.q_proj.weight[row, number] = _MATCH
                attention.k_proj.weight[row, _BEFORE + number] = _MATCH
                attention.v_proj.weight[row, number] = 1.0
                attention.o_proj.weight[number, row] = _HAND_ON


def _rates(model: Llama) -> Tensor:
    width = model.shape.hidden // model.shape.heads
    return model.shape.rope_theta ** (-torch.arange(0, width, 2) / width)
