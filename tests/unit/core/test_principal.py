"""Principals: who the trusted ones are, and that nobody becomes one by default."""

from __future__ import annotations

import dataclasses

import pytest

from agent_runtime.core.principal import LOCAL_OPERATOR, SYSTEM, Actor, Via


def test_an_actor_has_no_rights_by_default() -> None:
    actor = Actor("slack:T1:U1")
    assert not actor.operator
    assert actor.identities == frozenset()
    assert actor.barred == ""
    assert actor.asserted_by == ""


def test_the_trusted_ones() -> None:
    assert (LOCAL_OPERATOR.principal, LOCAL_OPERATOR.operator) == ("local:operator", True)
    assert (SYSTEM.principal, SYSTEM.operator) == ("system", True)


def test_an_actor_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Actor("slack:T1:U1").operator = True  # type: ignore[misc]


def test_the_doors() -> None:
    assert set(Via) == {"slack", "api", "webhook", "dashboard", "cli", "sdk", "expiry", "system"}
    assert f"{Via.slack}" == "slack"
