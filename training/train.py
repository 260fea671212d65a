"""``python -m training.train``: train by the clock, restartable, exporting as it goes.

First random tokens repeated, then short passages, then prompts of every length, and among them rows of few different
tokens repeated, which teach to copy by more than the last token. Half of each answer's difficulty is its
first token, which chooses the passage; what follows is copying.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from training import batches, export, start
from training.batches import Batch, Scenes, Stage
from training.choosing import Chooser
from training.model import Llama, Shape
from training.muon import Muon
from training.prepare import WORK

REPEATS = 100
CHOOSING = 0.1
"""How much it counts where the attention looks, beside what is said."""
_LEARNED = 0.4
EASY = Stage(size=3000, longest=120, plain=True, whole=1, easy=True)
SHORT = Stage(size=3200, longest=180, plain=True, whole=3)
FULL = Stage(size=6000, whole=4)
_WARM_UP, _DECAY_FROM = 30, 0.75


@dataclass
class Run:
    """Where training stands: what a checkpoint holds."""

    model: Llama
    optimizers: tuple[torch.optim.Optimizer, ...]
    chooser: Chooser
    step: int = 0
    seconds: float = 0.0
    loss: float = float("inf")

    @classmethod
    def start(cls, rate: float) -> Run:
        model = Llama(Shape())
        start.wire(model)
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
        muon = Muon(matrices, lr=rate)
        adam = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
        return cls(model, (muon, adam), Chooser(model))

    def save(self, path: Path) -> None:
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        state = {"model": self.model.state_dict(), "optimizers": optimizers, "step": self.step, "seconds": self.seconds}
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.step, self.seconds = state["step"], state["seconds"]


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    run = Run.start(options.rate)
    checkpoint = options.work / "checkpoint.pt"
    if checkpoint.exists():
        run.load(checkpoint)
    elif options.start_from:
        export.read(options.start_from, run.model)
        shutil.copy(options.start_from / "tokenizer.json", options.work / "tokenizer.json")
    _train(run, options, checkpoint)
    run.save(checkpoint)
    export.write(run.model, options.work / "tokenizer.json", options.out)


def _train(run: Run, options: argparse.Namespace, checkpoint: Path) -> None:
    total, saved, began, before = options.minutes * 60, time.monotonic(), time.monotonic(), run.seconds
    for batch in _course(run, options):
        if run.seconds >= total:
            return
        losses = _step(run, batch, _rate(run, total) * options.rate)
        run.seconds = before + time.monotonic() - began
        if run.step % 5 == 0:
            print(f"step {run.step} at {run.seconds:.0f} s: {losses}", flush=True)
        if time.monotonic() - saved > options.save_every:
            run.save(checkpoint)
            export.write(run.model, options.work / "tokenizer.json", options.work / "export")
            saved = time.monotonic()


def _course(run: Run, options: argparse.Namespace) -> Iterator[Batch]:
    """Batches in the order of the course; ``run.step`` says where it stands."""
    random = torch.Generator().manual_seed(run.step)
    while run.step < REPEATS and run.loss > _LEARNED:
        length = 30 + 2 * run.step
        yield batches.repeats(random, 1600 // length, length)
    for stage, last in ((EASY, options.easy_until), (SHORT, options.short_until)):
        stream = _stream(options, stage, run.step) if run.step < last else iter(())
        while run.step < last:
            yield next(stream)
    for number, batch in enumerate(_stream(options, replace(FULL, size=options.size), run.step)):
        yield batch
        if number % options.few_every == 0:
            yield _few_repeated(random, options.size)


def _few_repeated(random: torch.Generator, size: int) -> Batch:
    length, alphabet = (int(torch.randint(low, high, (), generator=random)) for low, high in ((40, 160), (5, 40)))
    return batches.repeats(random, max(1, int(0.7 * size) // (7 * length // 3)), length, alphabet)


def _stream(options: argparse.Namespace, stage: Stage, seed: int) -> Iterator[Batch]:
    loader = DataLoader(
        Scenes(options.work, stage, seed + options.seed), batch_size=None, num_workers=1, prefetch_factor=8
    )
    return iter(loader)


def _step(run: Run, batch: Batch, rate: float) -> str:
    """One update. Returns the losses in words."""
    counted = batch.weight > 0
    hidden = run.model(batch.ids, batch.positions, batch.mask())[counted]
    weight, target = batch.weight[counted], batch.target[counted]
    each = functional.cross_entropy(run.model.logits(hidden), target, reduction="none")
    loss = (each * weight).sum() / weight.sum()
    choosing = run.chooser.loss(batch)
    (loss + CHOOSING * choosing).backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    run.step, run.loss = run.step + 1, loss.item()
    return _told(each.detach(), weight, run.loss) + f", choosing {choosing.item():.3f}"


def _rate(run: Run, total: float) -> float:
    """The learning rate's share: warm up, hold, then fall to a twentieth."""
    passed = run.seconds / total
    fall = max(0.05, 1 - (passed - _DECAY_FROM) / (1 - _DECAY_FROM)) if passed > _DECAY_FROM else 1.0
    return min(1.0, (run.step + 1) / _WARM_UP) * fall


def _told(each: Tensor, weight: Tensor, loss: float) -> str:
    first, rest = each[weight == batches.FIRST], each[weight == 1.0]
    chosen = f", first {first.mean():.3f}" if len(first) else ""
    return f"loss {loss:.3f}{chosen}, copy {rest.mean():.4f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK, help="folder with corpus, tokenizer and checkpoint")
    parser.add_argument("--out", type=Path, default=export.MODEL, help="folder of the exported model")
    parser.add_argument("--start-from", type=Path, help="folder of an exported model to train on, with its tokenizer")
    parser.add_argument("--minutes", type=float, default=75, help="wall time of the whole training")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--easy-until", type=int, default=300, help="the step from which questions are reworded")
    parser.add_argument("--short-until", type=int, default=550, help="the step from which passages have any length")
    parser.add_argument("--size", type=int, default=FULL.size, help="tokens of a batch of prompts of every length")
    parser.add_argument("--few-every", type=int, default=2, help="rows of few tokens come after so many batches")
    parser.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
