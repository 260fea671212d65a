"""Profiles, sessions and their history: the library access reads the past with and writes what the user owns."""

from memory.history import Entry, History, Joining, News, Past, Turn
from memory.learned import Known, Learned, read_facts
from memory.profile import Profiles
from memory.session import OnBusy, Session, Sessions
from memory.summary import Summary
from memory.window import fit, newest, portion, start_of, with_unanswered

__all__ = [
    "Entry",
    "History",
    "Joining",
    "Known",
    "Learned",
    "News",
    "OnBusy",
    "Past",
    "Profiles",
    "Session",
    "Sessions",
    "Summary",
    "Turn",
    "fit",
    "newest",
    "portion",
    "read_facts",
    "start_of",
    "with_unanswered",
]
