"""Free texts from Debian packages: fetched through apt-get, unpacked without root, cut into sentences.

``README.md`` in this folder names each package with its licence.
"""

from __future__ import annotations

import gzip
import html
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "wordnet-base", "dict-foldoc", "debian-faq", "debian-faq-zh-cn",
    "debian-reference-en", "debian-reference-zh-cn", "debian-handbook",
)  # fmt: skip
_SHORTEST, _LONGEST = 40, 330


def fetch(folder: Path) -> Path:
    """Download and unpack the packages under ``folder``; what is there already is kept. Returns the unpacked root."""
    debs, root = folder / "debs", folder / "root"
    debs.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not list(debs.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=debs, check=True)
            subprocess.run(["dpkg", "-x", str(next(debs.glob(f"{package}_*.deb"))), str(root)], check=True)
    return root


def write_corpus(root: Path, folder: Path) -> None:
    """Write ``english.txt``, ``chinese.txt`` (a passage a line), ``glosses.jsonl`` and ``synonyms.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    share = root / "usr/share"
    _write_lines(folder / "english.txt", (*_english(share), *_foldoc(share)))
    _write_lines(folder / "chinese.txt", _chinese(share))
    _write_lines(folder / "glosses.jsonl", (json.dumps(pair) for pair in _glosses(share)))
    (folder / "synonyms.json").write_text(json.dumps(_synonyms(share)))


def _write_lines(path: Path, rows: Iterator[str] | tuple[str, ...]) -> None:
    kept = dict.fromkeys(rows)
    path.write_text("\n".join(kept), encoding="utf-8")


def _english(share: Path) -> Iterator[str]:
    for name in ("debian/FAQ/debian-faq.en.txt.gz", "debian-reference-en/docs/debian-reference.en.txt.gz"):
        text = gzip.decompress((share / "doc" / name).read_bytes()).decode("utf-8", "replace")
        yield from _passages(re.split(r"\n\s*\n", text))
    for page in sorted((share / "doc/debian-handbook/html/en-US").glob("*.html")):
        yield from _passages(_paragraphs(page.read_text("utf-8")))


def _chinese(share: Path) -> Iterator[str]:
    pages = [*share.glob("doc/debian/FAQ/zh-cn/*.html"), *share.glob("doc/debian-reference-zh-cn/docs/*zh-cn.html")]
    pages += share.glob("doc/debian-handbook/html/zh-CN/*.html")
    for page in sorted(pages):
        for paragraph in _paragraphs(page.read_text("utf-8")):
            for part in re.findall(r"[^。！？]*[。！？]", re.sub(r"\s+", " ", paragraph)):
                share_of_han = len(re.findall(r"[\u4e00-\u9fff]", part)) / len(part)
                if 12 <= len(part) <= 110 and share_of_han > 0.5:
                    yield part.strip()


def _foldoc(share: Path) -> Iterator[str]:
    text = gzip.decompress((share / "dictd/foldoc.dict.dz").read_bytes()).decode("utf-8", "replace")
    paragraphs = (p for p in re.split(r"\n\s*\n", text) if p.startswith("   "))
    yield from _passages(re.sub(r"[{}]|<[^>]*>", "", paragraph) for paragraph in paragraphs)


def _glosses(share: Path) -> Iterator[tuple[str, str]]:
    for part in ("noun", "verb", "adj"):
        for line in (share / f"wordnet/data.{part}").read_text().splitlines():
            if line.startswith("  ") or " | " not in line:
                continue
            word = line.split()[4].replace("_", " ").split("(")[0]
            gloss = line.split(" | ", 1)[1].strip()
            if _SHORTEST <= len(gloss) <= 200:
                yield word, gloss[:1].upper() + gloss[1:]


def _synonyms(share: Path) -> dict[str, list[str]]:
    """For each frequent-looking word the other plain words of its first sense."""
    found: dict[str, list[str]] = {}
    for part in ("verb", "noun", "adj"):
        senses = _senses(share / f"wordnet/data.{part}")
        for line in (share / f"wordnet/index.{part}").read_text().splitlines():
            fields = line.split()
            if line.startswith("  ") or "_" in fields[0] or fields[0] in found:
                continue
            others = [word for word in senses[fields[-int(fields[2])]] if word.lower() != fields[0]]
            if others:
                found[fields[0]] = others
    return found


def _senses(path: Path) -> dict[str, list[str]]:
    senses: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split()
            words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
            senses[fields[0]] = [w.split("(")[0] for w in words if w.split("(")[0].isalpha()]
    return senses


def _paragraphs(page: str) -> list[str]:
    found = re.findall(r"<(?:p|dd|div class=\"para\")[^>]*>(.*?)</(?:p|dd|div)>", page, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", text)) for text in found]


def _passages(paragraphs: Iterator[str] | list[str]) -> Iterator[str]:
    """Runs of one to three sentences, 40 to 330 characters."""
    for paragraph in paragraphs:
        text = re.sub(r"\s+", " ", paragraph).strip()
        if len(re.findall(r"[A-Za-z ]", text)) < 0.85 * len(text) or not text[:1].isalpha():
            continue
        run = ""
        for number, sentence in enumerate(re.split(r"(?<=[.!?]) (?=[A-Z])", text)):
            run = f"{run} {sentence}".strip()
            if len(run) >= _SHORTEST + 40 * (number % 4):
                if len(run) <= _LONGEST and run[-1] in ".!?":
                    yield run
                run = ""
