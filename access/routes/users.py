"""``/v1/users``: what the model is told about an end user, and erasing all of one. Ours; OpenAI has no such thing.

``facts`` are registered: somebody put them there. ``learned`` are what the user's conversations have told, each with
when and where; there are none unless ``learn`` was switched on.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response

from access.auth import Caller
from access.context import ByCaller, Context, InContext
from access.erasing import Erasure, erased_object
from access.routes.bodies import Body
from contracts.errors import NotFound
from contracts.ids import CONVERSATION_PREFIX
from memory import Known, Learned
from memory.profile import MAX_CHARACTERS, MAX_FACTS

router = APIRouter(tags=["users"])

User = Annotated[str, Path(min_length=1, max_length=128)]
"""A name may have slashes in it, so of two routes that fit, the longer one stands first."""
Fact = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]


class ProfileBody(Body):
    """All registered facts, by name."""

    facts: Annotated[dict[str, Fact], Field(max_length=MAX_FACTS)]


class ProfileChanges(Body):
    """Some registered facts, by name; ``null`` removes one. ``learn`` switches learning."""

    facts: Annotated[dict[str, Fact | None], Field(max_length=MAX_FACTS)] = Field(default_factory=dict)
    learn: bool | None = None


@router.get("/v1/users/{user:path}/profile")
async def get_profile(user: User, context: InContext, caller: ByCaller) -> Response:
    """The facts about one user; none are no error."""
    _check(caller, user)
    return await _profile(context, caller, user)


@router.put("/v1/users/{user:path}/profile")
async def put_profile(user: User, body: ProfileBody, context: InContext, caller: ByCaller) -> Response:
    """Replace all registered facts."""
    _check(caller, user)
    await context.profiles.put(caller.tenant, user, body.facts)
    return await _profile(context, caller, user)


@router.patch("/v1/users/{user:path}/profile")
async def patch_profile(user: User, body: ProfileChanges, context: InContext, caller: ByCaller) -> Response:
    """Change some registered facts and leave the others; switch learning on, or off with all that was learned."""
    _check(caller, user)
    if body.facts:
        await context.profiles.patch(caller.tenant, user, body.facts)
    if body.learn is not None:
        await context.learned.switch(caller.tenant, user, on=body.learn)
    return await _profile(context, caller, user)


@router.delete("/v1/users/{user:path}/profile/learned/{name}")
async def delete_learned_fact(user: User, name: str, context: InContext, caller: ByCaller) -> Response:
    """Forget one learned fact; what was said until now teaches nothing again."""
    _check(caller, user)
    known = await context.profiles.known(caller.tenant, user)
    if name not in known.learned:
        raise NotFound(f"No learned fact '{name[:40]}' of this user.", code="fact_not_found", param="name")
    await context.learned.forget(caller.tenant, user, name)
    return await _profile(context, caller, user)


@router.delete("/v1/users/{user:path}/profile/learned")
async def delete_learned(user: User, context: InContext, caller: ByCaller) -> Response:
    """Forget all that was learned; what was said until now teaches nothing again."""
    _check(caller, user)
    await context.learned.forget(caller.tenant, user)
    return await _profile(context, caller, user)


@router.delete("/v1/users/{user:path}/profile")
async def delete_profile(user: User, context: InContext, caller: ByCaller) -> Response:
    """Forget all facts, and learn no more."""
    _check(caller, user)
    deleted = await context.profiles.delete(caller.tenant, user)
    return JSONResponse({"object": "user.profile.deleted", "user": user, "deleted": deleted})


@router.delete("/v1/users/{user:path}")
async def erase_user(user: User, context: InContext, caller: ByCaller) -> Response:
    """Erase everything of a user; what that was, and what remains. Call again until ``complete``: it may find more."""
    _check(caller, user)
    erased = await Erasure(context, caller.tenant, user, last_key=caller.key).run()
    return JSONResponse(erased_object(caller.tenant, user, erased))


def _check(caller: Caller, user: str) -> None:
    """A key that is bound to one user knows no other."""
    caller.require("inference")
    if caller.user and caller.user != user:
        raise NotFound("No user with this id.", code="user_not_found", param="user")


async def _profile(context: Context, caller: Caller, user: str) -> Response:
    return JSONResponse(_profile_object(user, await context.profiles.known(caller.tenant, user)))


def _profile_object(user: str, known: Known) -> dict[str, Any]:
    learned = {name: _learned_object(fact) for name, fact in known.learned.items()}
    return {
        "object": "user.profile",
        "user": user,
        "facts": known.facts,
        "learn": known.since is not None,
        "learned": learned,
    }


def _learned_object(fact: Learned) -> dict[str, Any]:
    return {"value": fact.value, "learned_at": fact.at / 1000, "conversation": f"{CONVERSATION_PREFIX}{fact.session}"}
