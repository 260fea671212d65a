"""``python -m training.prepare``: fetch the free texts, write the corpus, make the tokenizer."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from training import sources, tokens

WORK = Path(tempfile.gettempdir()) / "penstock-training"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK, help="folder for packages, corpus, checkpoints")
    work: Path = parser.parse_args().work
    sources.write_corpus(sources.fetch(work), work / "corpus")
    tokens.make(work / "corpus").save(str(work / "tokenizer.json"))


if __name__ == "__main__":
    main()
