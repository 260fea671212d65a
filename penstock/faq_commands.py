"""The commands of ``penstock faq``; what they do stands in ``faq`` and ``faq_eval``.

All of them end with status 0 when it is done (also when there was nothing to do), 1 when what was asked for cannot be
done as it stands, 2 for a wrong option, and 75 when the same may be tried again later.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.options import DEFAULT_DATA, AsJson, Data, Url

if TYPE_CHECKING:
    from penstock.faq import Outcome, Plan

faq_app = typer.Typer(
    help="The entries that answers are drawn from. Ends with status 0 when it is done or there is nothing to do, "
    "1 when a file or a name is wrong, 75 when the same may be tried again later.",
    no_args_is_help=True,
)

StoreName = Annotated[str, typer.Option("--store", help="Name of the vector store.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]
Keys = Annotated[list[str], typer.Argument(help="Keys of entries.")]
DEFAULT_STORE = "faq"


@faq_app.command("load")
def load(
    *,
    file: Annotated[Path, typer.Argument(help="CSV, JSONL or Markdown.")],
    store: StoreName = DEFAULT_STORE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Load a file of entries in the place of the one of its name; the next question sees them.

    Only what changed is embedded; a file that changes nothing is not loaded.
    """
    from penstock import faq, target

    with faq.opened(target.find(url, data), store) as opened, _bar(file.name) as advance:
        loaded = opened.load(file, advance, dry_run=dry_run)
    _tell(loaded, dry_run=dry_run, as_json=as_json)


@faq_app.command("put")
def put(
    *,
    key: Annotated[str, typer.Argument(help="Key of the entry.")],
    question: Annotated[str, typer.Option(help="The question as it is shown.")],
    answer: Annotated[str, typer.Option(help="The answer.")],
    also: Annotated[list[str] | None, typer.Option(help="Another way to ask it; may be given again.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="For yourself; may be given again.")] = None,
    store: StoreName = DEFAULT_STORE,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Add an entry, or replace the one with this key; the next question sees it."""
    from penstock import faq, target

    entry = {"key": key, "question": question, "answer": answer, "also": also or [], "tags": tag or []}
    with faq.opened(target.find(url, data), store) as opened:
        created = opened.put(entry)
    typer.echo(f"{key} is {'new' if created else 'changed'}.")


@faq_app.command("delete")
def delete(keys: Keys, store: StoreName = DEFAULT_STORE, url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Take entries out; the next question does not see them."""
    from penstock import faq, target

    with faq.opened(target.find(url, data), store) as opened:
        for key in keys:
            opened.delete(key)
            typer.echo(f"{key} is deleted.")


@faq_app.command("remove")
def remove(
    *,
    file: Annotated[Path, typer.Argument(help="A file that was loaded, by its name; 'history' shows it.")],
    store: StoreName = DEFAULT_STORE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Take a loaded file out with all its entries; the next question does not see them. 'rollback' brings FAQs back."""
    from penstock import faq, target

    with faq.opened(target.find(url, data), store) as opened:
        removed = opened.remove(file.name, dry_run=dry_run)
    count = len(removed.plan.deleted)
    if as_json:
        typer.echo(json.dumps(removed.data, indent=2, ensure_ascii=False))
    elif dry_run:
        _tell_plan(f"{removed.file} would leave the vector store '{store}': {count} deleted.", removed.plan)
    else:
        typer.echo(f"{removed.file}: {count} entries are deleted from the vector store '{store}'.")


@faq_app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to: a name that ends in .csv or .jsonl.")],
    store: StoreName = DEFAULT_STORE,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write every entry to a file that loads again as it is."""
    from penstock import faq, target

    with faq.opened(target.find(url, data), store) as opened:
        count = opened.export(file)
    typer.echo(f"{file}: {count} entries of the vector store '{store}'.")


@faq_app.command("history")
def history(
    store: StoreName = DEFAULT_STORE, as_json: AsJson = False, url: Url = None, data: Data = DEFAULT_DATA
) -> None:
    """Show the last loads that changed something, newest first; 'rollback' loads one of them again."""
    from penstock import faq, target

    with faq.opened(target.find(url, data), store) as opened:
        versions = opened.history()
    if as_json:
        typer.echo(json.dumps(versions, indent=2))
        return
    for one in versions:
        at = datetime.fromtimestamp(one["created_at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        did = f"{one['added']} added, {one['changed']} changed, {one['deleted']} deleted, {one['entries']} in all"
        typer.echo(f"{one['file_id']}  {at}  {one['filename']}: {did}")


@faq_app.command("rollback")
def rollback(
    *,
    version: Annotated[str, typer.Argument(help="A version such as file-…; 'history' shows it.")],
    store: StoreName = DEFAULT_STORE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Load the file of an earlier version again; files are kept for 30 days."""
    from penstock import faq, target

    with faq.opened(target.find(url, data), store) as opened, _bar(version) as advance:
        loaded = opened.rollback(version, advance, dry_run=dry_run)
    _tell(loaded, dry_run=dry_run, as_json=as_json)


@faq_app.command("reindex")
def reindex(store: StoreName = DEFAULT_STORE, url: Url = None, data: Data = DEFAULT_DATA) -> None:
    """Embed and index every entry again."""
    from penstock import faq, target

    with faq.opened(target.find(url, data), store) as opened, _bar(store) as advance:
        count = opened.reindex(advance)
    typer.echo(f"{count} entries of the vector store '{store}' are indexed again.")


@faq_app.command("eval")
def evaluate(
    *,
    questions: Annotated[
        Path, typer.Argument(help='JSONL: {"question": …, "key": …, "history": […]}; null: no answer.')
    ],
    store: StoreName = DEFAULT_STORE,
    plot: Annotated[Path | None, typer.Option(help="Draw how refusing goes, as SVG and PNG of this name.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Ask questions with known answers, and compare our ranking with meaning alone (dense) and words alone (BM25)."""
    from rich.console import Console

    from penstock import faq, faq_eval, target

    with faq.opened(target.find(url, data), store) as opened, _bar(questions.name) as advance:
        asked = faq_eval.questions_of(questions, (entry.key for entry in opened.entries()))
        made = faq_eval.evaluate(asked, opened.search, advance)
    if as_json:
        typer.echo(json.dumps(made.data, indent=2))
    else:
        for table in faq_eval.tables(made):
            Console().print(table)
    for drawn in faq_eval.draw(made, plot) if plot else []:
        typer.echo(str(drawn), err=as_json)


def _tell(loaded: Outcome, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(loaded.data, indent=2, ensure_ascii=False))
    elif dry_run:
        _tell_plan(f"{loaded.file} would change the vector store '{loaded.store}': {loaded.plan}.", loaded.plan)
    elif loaded.written:
        total = len(loaded.plan.added) + len(loaded.plan.changed) + loaded.plan.unchanged
        typer.echo(f"{loaded.file}: {total} entries in the vector store '{loaded.store}' ({loaded.plan}).")
    else:
        typer.echo(f"{loaded.file}: nothing to do, nothing embedded ({loaded.plan}).")


def _tell_plan(sentence: str, plan: Plan) -> None:
    typer.echo(sentence)
    for word in ("added", "changed", "deleted"):
        for key in getattr(plan, word):
            typer.echo(f"  {word}: {key}")


@contextlib.contextmanager
def _bar(what: str) -> Generator[Callable[[int, int], None]]:
    """On a terminal a bar that moves, elsewhere a line every ten seconds; on the error output, like all that passes."""
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _lines(what: str) -> Callable[[int, int], Any]:
    told = time.monotonic()

    def advance(done: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= 10:
            told = time.monotonic()
            typer.echo(f"{what}: {done} of {of}", err=True)

    return advance
