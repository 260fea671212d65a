"""Models that come along: in a checkout they stand in ``models``, in a wheel inside the package ``penstock``."""

from __future__ import annotations

from pathlib import Path

ANSWERING = "penstock-faq"
EMBEDDING = "penstock-embed"

_BESIDE_THE_PACKAGES = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """Where the weights of the bundled model ``name`` are."""
    checkout = _BESIDE_THE_PACKAGES / "models" / name
    return checkout if checkout.is_dir() else _BESIDE_THE_PACKAGES / "penstock" / "bundled" / name
