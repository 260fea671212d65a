"""What it means that a client leaves. Detach is not cancel: an answer may outlive whoever asked for it.

=================================  =====================================================================
an unstored answer                 is cancelled: nobody could come back for it
a stored one, or in a session      is cancelled when nobody has come back for it within ``abandon_after``
a background one                   runs on to its end
any, when access itself dies       runs on
=================================  =====================================================================
"""

from __future__ import annotations

import asyncio

from access.context import Context
from contracts.messages import InferenceRequest


def client_left(context: Context, request: InferenceRequest) -> None:
    """Do what the table says, without holding anybody up."""
    if not request.background:
        context.spawn(_cancel_unless_followed(context, request), f"abandoned {request.id}")


async def _cancel_unless_followed(context: Context, request: InferenceRequest) -> None:
    if request.stored or request.session is not None:
        await asyncio.sleep(context.settings.abandon_after.total_seconds())
    if not await context.stored.followed(request.id):
        await context.protocol.cancel(request.id)
