"""``/v1/users/{user}/profile``: what the model is told about an end user. Ours; OpenAI has no such thing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response

from access.auth import Caller
from access.context import ByCaller, InContext
from access.routes.bodies import Body
from contracts.errors import NotFound
from memory.profile import MAX_CHARACTERS, MAX_FACTS

router = APIRouter(tags=["users"])

User = Annotated[str, Path(min_length=1, max_length=128)]
Fact = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]


class ProfileBody(Body):
    """All facts, by name."""

    facts: Annotated[dict[str, Fact], Field(max_length=MAX_FACTS)]


class ProfileChanges(Body):
    """Some facts, by name; ``null`` removes one."""

    facts: Annotated[dict[str, Fact | None], Field(max_length=MAX_FACTS)]


@router.get("/v1/users/{user}/profile")
async def get_profile(user: User, context: InContext, caller: ByCaller) -> Response:
    """The facts about one user; none are no error."""
    _check(caller, user)
    return _profile(user, await context.profiles.get(caller.tenant, user))


@router.put("/v1/users/{user}/profile")
async def put_profile(user: User, body: ProfileBody, context: InContext, caller: ByCaller) -> Response:
    """Replace all facts."""
    _check(caller, user)
    return _profile(user, await context.profiles.put(caller.tenant, user, body.facts))


@router.patch("/v1/users/{user}/profile")
async def patch_profile(user: User, body: ProfileChanges, context: InContext, caller: ByCaller) -> Response:
    """Change some facts and leave the others."""
    _check(caller, user)
    return _profile(user, await context.profiles.patch(caller.tenant, user, body.facts))


@router.delete("/v1/users/{user}/profile")
async def delete_profile(user: User, context: InContext, caller: ByCaller) -> Response:
    """Forget all facts."""
    _check(caller, user)
    deleted = await context.profiles.delete(caller.tenant, user)
    return JSONResponse({"object": "user.profile.deleted", "user": user, "deleted": deleted})


def _check(caller: Caller, user: str) -> None:
    """A key that is bound to one user knows no other."""
    caller.require("inference")
    if caller.user and caller.user != user:
        raise NotFound("No user with this id.", code="user_not_found", param="user")


def _profile(user: str, facts: dict[str, str]) -> Response:
    return JSONResponse({"object": "user.profile", "user": user, "facts": facts})
