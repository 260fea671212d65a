"""A Llama in plain torch, small enough to read, with the parameter names that transformers and vLLM expect.

It differs from the library's in one thing: ``forward`` takes positions and a mask, so that several questions can share
the prompt prefix before them (``training.batches``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The model's sizes. Head width is ``hidden // heads``."""

    vocabulary: int = 4096
    hidden: int = 192
    layers: int = 5
    heads: int = 6
    mlp: int = 384
    positions: int = 1024
    rope_theta: float = 1_000_000.0
    epsilon: float = 1e-5


class Llama(nn.Module):
    """Token ids to hidden states; ``logits`` turns the wanted ones into scores with the tied embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = _Norm(shape)

    def forward(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Hidden states.

        Args:
            ids: token ids, ``[batch, length]``.
            positions: each token's position in its own prompt, ``[batch, length]``.
            mask: added to attention scores, 0 or -inf, ``[batch, 1, length, length]``.
        """
        turn = rotations(positions, self.shape)
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, turn, mask)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary, ``[..., vocabulary]``."""
        return hidden @ self.embed_tokens.weight.T


class _Norm(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden))
        self.epsilon = shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.k_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.v_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.o_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        q, k, v = (self._split(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        seen = functional.scaled_dot_product_attention(_turned(q, turn), _turned(k, turn), v, attn_mask=mask)
        return self.o_proj(seen.transpose(1, 2).flatten(2))

    def scores(self, x: Tensor, turn: tuple[Tensor, Tensor], row: Tensor, place: Tensor) -> Tensor:
        """How much each head at ``place`` of ``row`` (both ``[chosen]``) would look at every token of that row.

        Before mask and softmax, ``[chosen, heads, length]``.
        """
        q, k = (_turned(self._split(project(x)), turn) for project in (self.q_proj, self.k_proj))
        return torch.einsum("chw,chlw->chl", q[row, :, place], k[row]) / q.shape[-1] ** 0.5

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class _Mlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.mlp, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.mlp, bias=False)
        self.down_proj = nn.Linear(shape.mlp, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = _Norm(shape)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = _Norm(shape)
        self.mlp = _Mlp(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), turn, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


def rotations(positions: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary embedding, ``[batch, 1, length, head width]`` (arXiv 2104.09864)."""
    width = shape.hidden // shape.heads
    rates = shape.rope_theta ** (-torch.arange(0, width, 2) / width)
    angles = (positions[:, None, :, None] * rates).repeat(1, 1, 1, 2)
    return angles.cos(), angles.sin()


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * turn[0] + torch.cat((-second, first), dim=-1) * turn[1]
