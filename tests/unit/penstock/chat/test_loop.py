"""The loop knows every command that can be typed."""

from __future__ import annotations

import httpx2

from penstock.chat.api import Api
from penstock.chat.commands import COMMANDS
from penstock.chat.loop import Chat
from penstock.chat.said import Model


def test_every_command_does_something() -> None:
    with httpx2.Client() as http:
        chat = Chat(Api(http), Model("any", "ready", is_preset=False, answers=True), None)
    assert set(chat._commands) == set(COMMANDS) - {"quit"}  # which ends the loop
