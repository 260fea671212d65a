"""The function library: every step of the delivery protocol as one atomic Redis function.

``*.lua`` hold the steps, ``library`` loads them, ``protocol`` gives them typed Python signatures.
"""

from contracts.functions.gate import Deposed, GateBook, Tenure
from contracts.functions.library import Library
from contracts.functions.protocol import Appended, Chunk, Ending, Grant, Protocol, Submission, Submitted

__all__ = [
    "Appended",
    "Chunk",
    "Deposed",
    "Ending",
    "GateBook",
    "Grant",
    "Library",
    "Protocol",
    "Submission",
    "Submitted",
    "Tenure",
]
