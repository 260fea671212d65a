"""Muon: momentum whose matrices are made orthogonal, which learns to copy in far fewer steps than Adam does.

After Keller Jordan, https://kellerjordan.github.io/posts/muon. torch has one too; it works in bfloat16, which a CPU
without such instructions emulates ten times slower than this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """For matrices only. The update's root mean square is a fifth of the rate, as Adam's is, so both share one rate."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.02) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # noqa: ARG002 - the base class names it
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                alike[matrix.shape].append(matrix)
            for matrices in alike.values():
                self._update(matrices, group)

    def _update(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        """One step of matrices of one shape, together."""
        pushed: list[Tensor] = []
        for matrix in matrices:
            assert matrix.grad is not None
            velocity = self.state[matrix].setdefault("velocity", torch.zeros_like(matrix))
            velocity.lerp_(matrix.grad, 1 - group["momentum"])
            pushed.append(matrix.grad.lerp(velocity, group["momentum"]))
        scale = 0.2 * max(matrices[0].shape) ** 0.5
        for matrix, update in zip(matrices, orthogonal(torch.stack(pushed)), strict=True):
            matrix.mul_(1 - group["lr"] * group["decay"]).sub_(update, alpha=group["lr"] * scale)


def orthogonal(batch: Tensor) -> Tensor:
    """Each matrix of ``batch`` with its singular values moved near 1, by Newton and Schulz's iteration."""
    a, b, c = _COEFFICIENTS
    tall = batch.shape[1] > batch.shape[2]
    x = batch.mT if tall else batch
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ROUNDS):
        squared = x @ x.mT
        x = a * x + (b * squared + c * squared @ squared) @ x
    return x.mT if tall else x
