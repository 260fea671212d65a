"""The function library: every step of the delivery protocol as one atomic Redis function.

``*.lua`` hold the steps, ``library`` loads them, ``protocol`` gives them typed Python signatures.
"""

from contracts.functions.deadletters import DeadLetter, DeadLetters
from contracts.functions.gate import Deposed, GateBook, Tenure
from contracts.functions.learned import LearnedFacts
from contracts.functions.library import Library, Replicas
from contracts.functions.protocol import (
    Appended,
    Chunk,
    Ending,
    Forgotten,
    Grant,
    Grants,
    Protocol,
    Submission,
    Submitted,
)
from contracts.functions.push import Push, Pushed, Pushes
from contracts.functions.push_quota import Exhausted, PushQuota
from contracts.functions.summary import Summaries
from contracts.functions.turns import TURNS_KEPT, Speaker, Turns, Unsaid

__all__ = [
    "TURNS_KEPT",
    "Appended",
    "Chunk",
    "DeadLetter",
    "DeadLetters",
    "Deposed",
    "Ending",
    "Exhausted",
    "Forgotten",
    "GateBook",
    "Grant",
    "Grants",
    "LearnedFacts",
    "Library",
    "Protocol",
    "Push",
    "PushQuota",
    "Pushed",
    "Pushes",
    "Replicas",
    "Speaker",
    "Submission",
    "Submitted",
    "Summaries",
    "Tenure",
    "Turns",
    "Unsaid",
]
