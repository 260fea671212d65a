"""``penstock faq eval``: how well a store answers questions whose answers are known, beside either ranker alone.

Each question is searched once over the public API, which says of every passage what the fusion, the cosine and BM25
make of it. The fusion is held to the thresholds that the bot refuses by; the others get the one that suits these very
questions best.

Questions with a ``history`` are a table of their own: what the bot makes of them (hybrid), beside the question alone
and the question always joined to the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from contracts.errors import DecodeError
from penstock.errors import CommandError
from rag.evaluation import Question, Ranked, Score, read_questions, refusals, score, sureness
from rag.terms import language

FOLLOW_UPS = "-follow-ups"
TITLES = {
    "en": "English",
    "zh": "Chinese",
    f"en{FOLLOW_UPS}": "English, in conversations",
    f"zh{FOLLOW_UPS}": "Chinese, in conversations",
}
FIGURES = ("hit_at_1", "hit_at_3", "mrr", "refusals_right", "refused", "answered", "auc")
HEADINGS = ("hit@1", "hit@3", "MRR", "refusal precision", "refusal recall", "answered", "refusal AUC")

ByRanker = Mapping[str, Sequence[Ranked]]
Search = Callable[[str, Sequence[str]], dict[str, Any]]
"""From a question and those before it to a page of search results."""


@dataclass(frozen=True)
class Evaluation:
    """What each ranker made of the questions of each group: a language, alone or in conversations. ``thresholds`` are
    those of rankers that have one."""

    ranked: Mapping[str, ByRanker]
    thresholds: Mapping[str, Mapping[str, float]]

    @property
    def scores(self) -> dict[str, dict[str, Score]]:
        """By group and ranker."""
        return {
            name: {ranker: score(ranked, self.thresholds[name].get(ranker)) for ranker, ranked in by_ranker.items()}
            for name, by_ranker in self.ranked.items()
        }

    @property
    def data(self) -> dict[str, Any]:
        """For programs."""
        return {
            name: {
                "questions": len(self.ranked[name]["hybrid"]),
                "unanswerable": sum(one.answer is None for one in self.ranked[name]["hybrid"]),
                **{ranker: asdict(one) for ranker, one in scores.items()},
            }
            for name, scores in self.scores.items()
        }


def questions_of(file: Path, keys: Iterable[str]) -> list[Question]:
    """The questions of a JSON Lines file, ``{"question": …, "key": …}``; the key is ``null`` where there is no answer.
    ``"history": […]`` are the questions asked before it.

    Raises:
        CommandError: the file is something else, or names a key that the store does not have.
    """
    try:
        questions = read_questions(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise CommandError(f"{file}: {error}") from error
    known = set(keys)
    unknown = sorted({one.key for one in questions if one.key is not None and one.key not in known})
    if unknown:
        raise CommandError(f"{file}: the store has no entry {', '.join(map(repr, unknown[:5]))} (of {len(unknown)}).")
    return questions


def evaluate(questions: Sequence[Question], search: Search, advance: Callable[[int, int], None]) -> Evaluation:
    """Search every question, one after the other."""
    ranked: dict[str, dict[str, list[Ranked]]] = {}
    thresholds: dict[str, dict[str, float]] = {}
    for number, one in enumerate(questions, start=1):
        group = language(" ".join([*one.history, one.question])) + (FOLLOW_UPS if one.history else "")
        found = search(one.question, one.history)
        if one.history:
            made = contexts(one, found, search)
            thresholds[group] = dict.fromkeys(made, 0.0)
        else:
            made = rankings(one, found)
            thresholds[group] = {"hybrid": found["threshold"]}
        for ranker, some in made.items():
            ranked.setdefault(group, {}).setdefault(ranker, []).append(some)
        advance(number, len(questions))
    return Evaluation(dict(sorted(ranked.items())), thresholds)


def contexts(asked: Question, found: Mapping[str, Any], search: Search) -> dict[str, Ranked]:
    """What is found for a question in its conversation, for the question alone, and for it behind the one before.

    Each may be searched with a text in another language, so they are sure by how far they are above its threshold.
    """
    joined = f"{asked.history[-1]} {asked.question}"
    pages = {"hybrid": found, "alone": search(asked.question, ()), "joined": search(joined, ())}
    return {
        name: Ranked(asked.key, [_key(one) for one in page["data"]], page["answerable"] - page["threshold"])
        for name, page in pages.items()
    }


def rankings(asked: Question, found: Mapping[str, Any]) -> dict[str, Ranked]:
    """What each ranker made of a question, read off a page of search results."""
    results: list[dict[str, Any]] = found["data"]
    hybrid = Ranked(asked.key, [_key(one) for one in results], found["answerable"])
    return {"hybrid": hybrid, "dense": _alone(asked, results, "cosine"), "bm25": _alone(asked, results, "bm25")}


def tables(evaluation: Evaluation) -> list[Table]:
    """One for each group."""
    return [_table(name, scores, evaluation) for name, scores in evaluation.scores.items()]


def draw(evaluation: Evaluation, base: Path) -> list[Path]:
    """Plots of refusing, one for each group, beside ``base``; none, with a sentence, where they cannot be drawn."""
    try:
        from benchmarks import plots
    except ImportError:
        print("No plots: they come with a checkout, not with the package.")
        return []
    drawn = [
        plots.Plot(
            name=f"refusals-{name}",
            title=f"Refusing, by threshold: {TITLES[name]}",
            x="share of answerable questions refused",
            y="share of unanswerable questions refused",
            lines={ranker: _curve(ranked) for ranker, ranked in by_ranker.items()},
        )
        for name, by_ranker in evaluation.ranked.items()
    ]
    return plots.draw(drawn, base)


def _curve(ranked: Sequence[Ranked]) -> list[tuple[float, float]]:
    return [(wrong, right) for _, wrong, right in refusals(*sureness(ranked))]


def _alone(asked: Question, results: Sequence[dict[str, Any]], name: str) -> Ranked:
    listed = [one for one in results if name in one]
    listed.sort(key=lambda one: -one[name])
    best = listed[0][name] if listed else 0.0
    return Ranked(asked.key, [_key(one) for one in listed], best)


def _key(result: Mapping[str, Any]) -> str:
    return str(result["source"]).removeprefix(f"{result['filename']}#")


def _table(name: str, scores: Mapping[str, Score], evaluation: Evaluation) -> Table:
    counted = evaluation.data[name]
    title = f"{TITLES[name]}: {counted['questions']} questions, {counted['unanswerable']} of them without an answer"
    table = Table(title=title, title_justify="left")
    table.add_column("ranker")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for ranker, one in scores.items():
        table.add_row(ranker, *(f"{getattr(one, figure):.3f}" for figure in FIGURES))
    return table
