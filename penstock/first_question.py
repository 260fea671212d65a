"""The proof at the end of a start: one question from the sample, and how to ask the next one."""

from __future__ import annotations

import json
import secrets
import shlex
from importlib.resources import as_file, files
from pathlib import Path

SAMPLE = files("rag") / "sample"


def sample_faq() -> Path:
    """The sample FAQ as a file."""
    with as_file(SAMPLE / "faq.jsonl") as path:
        return path


def pick() -> str:
    """A question that the sample FAQ answers, in English and in words other than the FAQ's own."""
    lines = (SAMPLE / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines if line.strip()]
    return secrets.choice([entry["question"] for entry in asked if entry["key"] and entry["question"].isascii()])


def snippets(url: str, key: str, question: str) -> str:
    """The address, the chat page, the key, and the same question for curl and Python, to be pasted as they are."""
    body = json.dumps({"model": "faq-bot", "messages": [{"role": "user", "content": question}]})
    return f"""
Penstock is up at {url} (API documentation: {url}/docs)
Chat: {url}/chat/#key={key}
API key: {key}

curl {url}/v1/chat/completions \\
  -H {shlex.quote(f"Authorization: Bearer {key}")} -H 'Content-Type: application/json' \\
  -d {shlex.quote(body)}

from openai import OpenAI
client = OpenAI(base_url={f"{url}/v1"!r}, api_key={key!r})
answer = client.chat.completions.create(model="faq-bot", messages=[{{"role": "user", "content": {question!r}}}])
print(answer.choices[0].message.content)

Ctrl-C stops everything.
"""
