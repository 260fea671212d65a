"""Policies by name: ours, and those that an installed package offers.

One of your own is a class with the methods of ``limiter.policy.Policy``, easiest as a subclass of ``Fair``, and a
function that makes it from the settings, named in your package's pyproject.toml::

    [project.entry-points."penstock.policies"]
    gold = "acme_policies:Gold.of"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from contracts.configuration import BadSettings
from limiter.policies.fair import Fair, Room
from limiter.policies.overflow import Overflow
from limiter.policy import Policy

Factory = Callable[[Room], Policy]

GROUP = "penstock.policies"
OURS: Mapping[str, Factory] = {"fair": Fair.of, "overflow": Overflow.of}


def load(name: str) -> Factory:
    """What makes the policy of that name.

    Raises:
        BadSettings: there is none, or its package cannot be imported.
    """
    if name in OURS:
        return OURS[name]
    offered = {one.name: one for one in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted({*OURS, *offered}))
        raise BadSettings(f"There is no admission policy '{name}'. Known are: {known}.")
    return _imported(offered[name])


def _imported(offered: EntryPoint) -> Factory:
    try:
        factory: Any = offered.load()
    except (ImportError, AttributeError) as error:
        raise BadSettings(f"The admission policy '{offered.name}' ({offered.value}) is not there: {error}") from error
    return factory
