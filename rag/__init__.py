"""Knowledge: documents become passages in Milvus, and a question finds the few that answer it.

``Knowledge`` is the door: it opens the store, loads and removes documents, and carries the ``Retriever``. Vectors come
from an ``Embedder``, a small port that its user fills: no model is loaded here.
"""

from rag.embedding import CachedEmbedder, Embedder
from rag.knowledge import Knowledge
from rag.loaders import FaqEntry, LoadError, load_faq
from rag.retriever import Retrieval, Retriever
from rag.settings import RagSettings

__all__ = [
    "CachedEmbedder",
    "Embedder",
    "FaqEntry",
    "Knowledge",
    "LoadError",
    "RagSettings",
    "Retrieval",
    "Retriever",
    "load_faq",
]
