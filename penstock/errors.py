"""What stops a command: said to the person at the terminal in one sentence that ends with what to do."""

from __future__ import annotations


class CommandError(Exception):
    """A command of ours cannot do what it was asked to. ``status`` is the exit status it ends with."""

    status = 1


class StartError(CommandError):
    """Something on this machine is not as the launcher needs it."""
