"""Profiles, sessions and their history: the library access reads the past with and writes what the user owns."""

from memory.history import History, Turn
from memory.profile import Profiles
from memory.session import Session, Sessions
from memory.window import fit

__all__ = ["History", "Profiles", "Session", "Sessions", "Turn", "fit"]
