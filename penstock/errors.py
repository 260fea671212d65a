"""What stops a start: said to the person at the terminal in one sentence that ends with what to do."""

from __future__ import annotations


class StartError(Exception):
    """Something on this machine is not as the launcher needs it."""
