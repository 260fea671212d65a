"""How a page is read: what is done with each block, and that a block which fails, or says something else, is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guides.page import Block, blocks, pattern
from tests.guides.reader import Reader, SnippetFailed, reading
from tests.stack import ROOT

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "desk").mkdir()
    with reading(tmp_path / "desk") as made:
        yield made


def follow(reader: Reader, text: str) -> None:
    page = reader.folder / "page.md"
    page.write_text(text, encoding="utf-8")
    reader.follow(page)


def test_a_block_knows_its_language_its_line_and_what_it_is_for() -> None:
    page = "# A\n\n```bash terminal=2\none\n```\n\n```csv a.csv\ntwo\n```\n```\nthree\n```\n"
    assert list(blocks(page)) == [
        Block("bash", "one\n", 3, terminal=2),
        Block("csv", "two\n", 7, file="a.csv"),
        Block("", "three\n", 10),
    ]


def test_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert pattern("a…c\n").fullmatch("abc")
    assert pattern("a…c").fullmatch("a\nb\nc\n")
    assert not pattern("a…c").fullmatch("abd")
    assert not pattern("a.c").fullmatch("abc")


def test_white_space_that_nobody_sees_does_not_count(reader: Reader) -> None:
    follow(reader, "```bash\nprintf 'a  \\nb\\t\\n\\n'\n```\n```text\na\nb\n```\n")


def test_shells_share_what_they_export_and_files_are_where_they_were_saved(reader: Reader) -> None:
    follow(
        reader,
        "```txt a.txt\nhello\n```\n```bash\nexport NAME=Ana\n```\n```bash\ncat a.txt; echo $NAME\n```\n"
        "```text\nhello\nAna\n```\n",
    )


def test_python_goes_on_where_it_was_and_knows_what_was_exported(reader: Reader) -> None:
    follow(
        reader,
        "```bash\nexport NAME=Ana\n```\n```python\nimport os\nname = os.environ['NAME']\n```\n"
        "```python\nprint(name)\n```\n```text\nAna\n```\n",
    )


def test_what_another_terminal_shows_is_waited_for_and_looked_at_once(reader: Reader) -> None:
    follow(
        reader,
        "```bash terminal=2\nuntil [ -e go ]; do sleep 0.05; done; echo one; echo two\n```\n```bash\ntouch go\n```\n"
        "```text terminal=2\none\n```\n```text terminal=2\ntwo\n```\n",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "```bash\nfalse\ntrue\n```\n",
        "```bash\nfalse | true\n```\n",
        "```bash\necho one\n```\n```text\ntwo\n```\n",
        "```python\n1 / 0\n```\n",
        "```python\nprint('one')\n```\n```text\non\n```\n",
        "```ruby\nputs 1\n```\n",
    ],
)
def test_what_fails_or_says_something_else_is_told_with_its_line(reader: Reader, wrong: str) -> None:
    with pytest.raises(SnippetFailed, match=r"page\.md, line \d+"):
        follow(reader, wrong)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_a_guide_starts_with_make_up_says_what_to_do_and_holds_nothing_that_is_not_run(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    first, *rest = blocks(text)
    assert first.text.rstrip().endswith("make up")
    assert "\n## When it does not work\n" in text
    assert all(block.language for block in rest)


def test_there_are_guides() -> None:
    assert {guide.name for guide in GUIDES} == {"chat-frontend.md", "faq-bot.md", "push.md"}
