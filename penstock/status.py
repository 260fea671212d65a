"""``penstock status``: what waits, who works and how fast, from the admin routes."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from penstock import target
from penstock.target import Target


def show(at: Target, console: Console) -> None:
    """Print the queues and the workers.

    Raises:
        CommandError: nobody answers, or the key has no ``admin`` scope.
    """
    console.print(queue_table(target.get(at, "/admin/queues")["data"]))
    console.print(worker_table(target.get(at, "/admin/workers")["data"]))


def queue_table(queues: list[dict[str, Any]]) -> Table:
    """A row per model: what waits at the gate and in its streams, what runs, and the room there is."""
    table = _table("Queues", "model", "waiting", "depth", "running", "workers", "free slots", "tokens/s")
    for queue in queues:
        table.add_row(
            queue["model"],
            str(queue["waiting"]),
            str(sum(queue["depth"].values())),
            str(queue["running"]),
            str(sum(queue["workers"].values())),
            f"{queue['free_slots']}/{queue['slots']}",
            f"{queue['tokens_per_second']:.0f}",
        )
    return table


def worker_table(workers: list[dict[str, Any]]) -> Table:
    """A row per worker."""
    table = _table("Workers", "worker", "model", "state", "free slots", "tokens/s")
    for worker in workers:
        slots = f"{worker['free_slots']}/{worker['slots']}"
        table.add_row(worker["id"], worker["model"], worker["state"], slots, f"{worker['tokens_per_second']:.0f}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table
