"""What a start says at its end."""

from __future__ import annotations

import ast
import json
import shlex

from penstock import first_question

KEY = "sk-0123456789ab_secret"
QUESTION = "Why doesn't the kettle's light \"blink\"?"


def test_the_question_is_english_and_comes_from_the_sample() -> None:
    lines = (first_question.SAMPLE / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    answered = {entry["question"] for entry in map(json.loads, lines) if entry["key"]}
    picked = {first_question.pick() for _ in range(50)}
    assert picked <= answered
    assert all(question.isascii() for question in picked)
    assert len(picked) > 1


def test_the_curl_snippet_survives_any_quotes() -> None:
    said = first_question.snippets("http://127.0.0.1:8000", KEY, QUESTION)
    command = said[said.index("curl ") : said.index("\n\nfrom openai")]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[1] == "http://127.0.0.1:8000/v1/chat/completions"
    assert f"Authorization: Bearer {KEY}" in words
    assert json.loads(words[-1])["messages"][0]["content"] == QUESTION


def test_the_python_snippet_is_python_that_asks_the_same() -> None:
    said = first_question.snippets("http://127.0.0.1:8000", KEY, QUESTION)
    program = said[said.index("from openai") : said.index("Ctrl-C")]
    constants = {node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)}
    assert {QUESTION, KEY, "http://127.0.0.1:8000/v1", "faq-bot"} <= constants
