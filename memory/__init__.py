"""Profiles, sessions and their history: the library access reads the past with and writes what the user owns."""

from memory.history import Entry, History, Joining, News, Turn
from memory.profile import Profiles
from memory.session import Session, Sessions
from memory.window import fit

__all__ = ["Entry", "History", "Joining", "News", "Profiles", "Session", "Sessions", "Turn", "fit"]
