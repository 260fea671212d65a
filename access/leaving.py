"""What it means that a client leaves. Detach is not cancel: an answer may outlive whoever asked for it.

=================================  =====================================================================
an unstored answer                 ``cancel``: nobody could come back for it
a stored one, or in a session      ``linger``: cancelled when nobody has come back within ``abandon_after``
a background one                   ``run``: to its end
any, when access itself dies       runs on
=================================  =====================================================================

The header ``x-penstock-leave`` chooses another line for one request. The choice is stored with the request, so every
access process keeps to it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from access.context import Context
from contracts.messages import InferenceRequest

Rule = Literal["cancel", "linger", "run"]

_EXTENSION = "leave"


def chosen(rule: Rule | None) -> dict[str, Any]:
    """A client's choice, as an extension of its request."""
    return {} if rule is None else {_EXTENSION: rule}


def rule_of(request: InferenceRequest) -> Rule:
    """The line of the table that holds for a request."""
    rule = request.extensions.get(_EXTENSION)
    if rule is not None:
        return rule
    if request.background:
        return "run"
    return "linger" if request.stored or request.session is not None else "cancel"


def grace(context: Context, request: InferenceRequest) -> float | None:
    """Seconds in which somebody may come back for an answer; ``None``: it is not waited for."""
    rule = rule_of(request)
    if rule == "run":
        return None
    return context.settings.abandon_after.total_seconds() if rule == "linger" else 0.0


def client_left(context: Context, request: InferenceRequest) -> None:
    """Do what the table says, without holding anybody up."""
    if (seconds := grace(context, request)) is not None:
        context.spawn(_cancel_unless_followed(context, request, seconds), f"abandoned {request.id}")


async def _cancel_unless_followed(context: Context, request: InferenceRequest, seconds: float) -> None:
    await asyncio.sleep(seconds)
    if not await context.stored.followed(request.id):
        await context.protocol.cancel(request.id)
