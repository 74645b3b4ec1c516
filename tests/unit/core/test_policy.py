"""Policy: which gates ask, whose fields win, what is stored, and who may decide."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.core.duration import DAY, HOUR, MINUTE, SECOND
from agent_runtime.core.policy import (
    DOORS,
    Approval,
    Checkpoint,
    Defaults,
    Policy,
    eligible_reviewers,
    evaluate,
    may_decide,
    merge,
)
from agent_runtime.core.principal import LOCAL_OPERATOR, SYSTEM, Actor, Via
from agent_runtime.errors import InvalidDefinition, NotAuthorized
from tests.samples import REQUESTER, reviewer


def checkpoint(name: str, approval: Approval | None = None, **fields: Any) -> Checkpoint:
    """A checkpoint on every tool that deletes."""
    return Checkpoint(name, lambda tool: tool.startswith("delete_"), approval or Approval(), **fields)


# --- evaluate: gates add up ---------------------------------------------------------------------------------


def test_nothing_asks_where_nothing_gates() -> None:
    assert evaluate("refund", None, Defaults()) is None
    assert evaluate("refund", None, Defaults(Approval(reviewers=["U123"]), (checkpoint("deletes"),))) is None


def test_a_tool_asks_for_itself() -> None:
    policy = evaluate("refund", Approval(reviewers=["U123"]), Defaults())
    assert policy == Policy(reviewers=("U123",), rules=("tool:refund",))


def test_a_checkpoint_asks_for_a_tool_that_does_not() -> None:
    defaults = Defaults(checkpoints=(checkpoint("deletes", Approval(reviewers=["@dba"])),))
    assert evaluate("delete_rows", None, defaults) == Policy(reviewers=("@dba",), rules=("checkpoint:deletes",))


def test_a_shadow_checkpoint_asks_for_nothing() -> None:
    defaults = Defaults(checkpoints=(checkpoint("deletes", Approval(quorum=3), mode="shadow"),))
    assert evaluate("delete_rows", None, defaults) is None
    assert evaluate("delete_rows", Approval(), defaults) == Policy(rules=("tool:delete_rows",))


def test_checkpoints_win_over_the_tool_and_the_tool_over_the_environment() -> None:
    defaults = Defaults(
        approval=Approval(reviewers=["U111"], quorum=1, channel="C1", remind_after="15m"),
        checkpoints=(
            checkpoint("first", Approval(reviewers=["@dba"])),
            checkpoint("second", Approval(reviewers=["@ops"], quorum=3)),
        ),
        notified=True,
    )
    tool = Approval(reviewers=["U222"], quorum=2, expires_in_hours=2, channel="C2")
    assert evaluate("delete_rows", tool, defaults) == Policy(
        reviewers=("@dba",),
        quorum=3,
        expires_after=2 * HOUR,
        remind_after=15 * MINUTE,
        channel="C2",
        rules=("checkpoint:first", "checkpoint:second", "tool:delete_rows"),
        notified=True,
    )


def test_an_empty_list_is_an_answer_and_nobody() -> None:
    policy = evaluate("refund", Approval(reviewers=[]), Defaults(Approval(reviewers=["U111"])))
    assert policy is not None
    assert policy.reviewers == ()


@pytest.mark.parametrize("field", ["on_reject", "on_expiry"])
@pytest.mark.parametrize(
    ("checkpoint_says", "tool_says", "environment_says", "wanted"),
    [
        (None, None, None, "continue"),
        (None, None, "stop", "stop"),
        (None, "continue", "stop", "continue"),
        (None, "stop", "continue", "stop"),
        ("continue", "stop", "continue", "stop"),
        ("stop", "continue", "continue", "stop"),
        ("continue", "continue", "stop", "continue"),
    ],
)
def test_stop_from_any_gate_wins(
    field: str, checkpoint_says: Any, tool_says: Any, environment_says: Any, wanted: str
) -> None:
    defaults = Defaults(
        approval=Approval(**{field: environment_says}),
        checkpoints=(checkpoint("deletes", Approval(**{field: checkpoint_says})),),
    )
    policy = evaluate("delete_rows", Approval(**{field: tool_says}), defaults)
    assert getattr(policy, field) == wanted


def test_every_span_is_stored_in_microseconds() -> None:
    asked = Approval(
        expires_in_hours=0.5, valid_for="2h", remind_after=90, escalate_after=timedelta(hours=1), escalate_to=["@lead"]
    )
    policy = merge([asked], Defaults(), rules=())
    assert (policy.expires_after, policy.valid_for, policy.remind_after, policy.escalate_after) == (
        30 * MINUTE,
        2 * HOUR,
        90 * SECOND,
        HOUR,
    )
    assert merge([], Defaults(), rules=()).valid_for == DAY


_reviewers = st.lists(st.sampled_from(["U123", "@dba", "S42", "a@b.example", "api:ci"]), max_size=3, unique=True)
_approvals = st.builds(
    Approval,
    reviewers=st.none() | _reviewers,
    quorum=st.none() | st.integers(1, 20),
    expires_in_hours=st.none() | st.floats(0.001, 1000),
    valid_for=st.none() | st.integers(1, 10**6),
    remind_after=st.none() | st.sampled_from(["30m", "1h30m", 5]),
    escalate_to=st.none() | _reviewers,
    on_reject=st.sampled_from([None, "continue", "stop"]),
    on_expiry=st.sampled_from([None, "continue", "stop"]),
    risk=st.sampled_from([None, "normal", "high"]),
    allow_self_approval=st.none() | st.booleans(),
    allow_edits=st.none() | st.booleans(),
    allowed_via=st.none() | st.lists(st.sampled_from(DOORS), min_size=1, max_size=3, unique=True),
)


@given(st.lists(_approvals, max_size=3), _approvals, st.booleans())
def test_each_field_comes_from_the_first_layer_that_has_one(
    layers: list[Approval], environment: Approval, notified: bool
) -> None:
    policy = merge(layers, Defaults(environment, notified=notified), rules=("a", "b"))
    plain = {
        "reviewers": (),
        "quorum": 1,
        "escalate_to": (),
        "risk": "normal",
        "allow_self_approval": False,
        "allow_edits": False,
        "allowed_via": None,
    }
    for name, default in plain.items():
        given = [getattr(layer, name) for layer in (*layers, environment) if getattr(layer, name) is not None]
        wanted = given[0] if given else default
        assert getattr(policy, name) == (tuple(wanted) if isinstance(wanted, list) else wanted)
    for name in ("on_reject", "on_expiry"):
        if "stop" in [getattr(layer, name) for layer in layers]:
            assert getattr(policy, name) == "stop"
    assert (policy.rules, policy.notified) == (("a", "b"), notified)


# --- stored and read ----------------------------------------------------------------------------------------


@given(st.lists(_approvals, max_size=3), st.booleans())
def test_what_was_stored_is_what_is_read(layers: list[Approval], notified: bool) -> None:
    policy = merge(layers, Defaults(notified=notified), rules=("checkpoint:x", "tool:y"))
    assert Policy.from_json(json.loads(json.dumps(policy.as_json()))) == policy


def test_only_what_differs_from_the_defaults_is_stored() -> None:
    assert Policy().as_json() == {}
    assert Policy(quorum=2, reviewers=("U123",)).as_json() == {"quorum": 2, "reviewers": ["U123"]}


def test_every_field_survives_storing() -> None:
    odd: dict[str, Any] = {
        "reviewers": ("U123",),
        "quorum": 2,
        "expires_after": 1,
        "valid_for": 2,
        "remind_after": 3,
        "escalate_after": 4,
        "escalate_to": ("@lead",),
        "escalate_channel": "C1",
        "risk": "high",
        "on_reject": "stop",
        "on_expiry": "stop",
        "allow_self_approval": True,
        "allow_edits": True,
        "redact": ("card.number",),
        "allowed_via": ("slack",),
        "channel": "C2",
        "rules": ("tool:refund",),
        "notified": True,
        "webhooks": True,
    }
    assert set(odd) == {field.name for field in fields(Policy)}
    assert Policy.from_json(Policy(**odd).as_json()) == Policy(**odd)


# --- who may decide -----------------------------------------------------------------------------------------

LISTED = Policy(reviewers=("U1", "S42", "api:ci", "slack:T1:U5", "jo@example.com"))


@pytest.mark.parametrize(
    "by",
    [
        reviewer("U1"),
        reviewer("U7", identities=frozenset({"U7", "S42"})),
        reviewer("U7", identities=frozenset({"U7", "jo@example.com"})),
        reviewer("U5", identities=frozenset()),
        Actor("api:ci"),
        LOCAL_OPERATOR,
        SYSTEM,
    ],
)
def test_listed_people_and_operators_may_decide(by: Actor) -> None:
    may_decide(LISTED, requested_by=REQUESTER, by=by, via=Via.slack)


@pytest.mark.parametrize(
    ("policy", "by", "reason"),
    [
        (LISTED, reviewer("U8"), "not one of its reviewers"),
        (LISTED, Actor("slack:T2:U5"), "not one of its reviewers"),
        (LISTED, Actor("api:cicd"), "not one of its reviewers"),
        (LISTED, Actor("", frozenset()), "not one of its reviewers"),
        (Policy(), reviewer("U1"), "COUNTERSIGN_REVIEWERS"),
        (Policy(escalate_to=("U1",)), reviewer("U1"), "no reviewers are set"),
        (LISTED, replace(LOCAL_OPERATOR, barred="no guests"), "no guests"),
        (LISTED, reviewer("U1", barred="no guests"), "no guests"),
        (LISTED, Actor(REQUESTER, frozenset({"U1"})), "somebody else must decide"),
    ],
)
def test_nobody_else_may(policy: Policy, by: Actor, reason: str) -> None:
    with pytest.raises(NotAuthorized, match=reason):
        may_decide(policy, requested_by=REQUESTER, by=by, via=Via.slack)


def test_the_requester_may_where_that_is_allowed_and_is_still_to_be_listed() -> None:
    allowed = replace(LISTED, allow_self_approval=True)
    may_decide(allowed, requested_by=REQUESTER, by=Actor(REQUESTER, frozenset({"U1"})), via=Via.slack)
    with pytest.raises(NotAuthorized):
        may_decide(allowed, requested_by=REQUESTER, by=Actor(REQUESTER, frozenset({"U9"})), via=Via.slack)


def test_the_requester_is_known_under_the_organisation_s_id_too() -> None:
    """A token may name somebody by their organisation; a click names them by their workspace."""
    by = Actor("slack:T1:U1", frozenset({"slack:T1:U1", "U1"}))
    with pytest.raises(NotAuthorized, match="somebody else must decide"):
        may_decide(LISTED, requested_by="slack:E1:U1", by=by, via=Via.slack)
    may_decide(LISTED, requested_by="slack:E1:U7", by=by, via=Via.slack)


@pytest.mark.parametrize("via", Via)
@pytest.mark.parametrize("by", [reviewer("U1"), LOCAL_OPERATOR], ids=["reviewer", "operator"])
def test_a_door_that_is_left_out_is_shut_for_everybody(by: Actor, via: Via) -> None:
    policy = replace(LISTED, allowed_via=("slack", "dashboard"))
    if via in {Via.slack, Via.dashboard, Via.expiry}:
        may_decide(policy, requested_by=REQUESTER, by=by, via=via)
    else:
        with pytest.raises(NotAuthorized, match="slack, dashboard"):
            may_decide(policy, requested_by=REQUESTER, by=by, via=via)


def test_the_escalation_widens_who_may() -> None:
    policy = replace(LISTED, escalate_to=("U8", "U1"))
    with pytest.raises(NotAuthorized):
        may_decide(policy, requested_by=REQUESTER, by=reviewer("U8"), via=Via.slack)
    may_decide(policy, requested_by=REQUESTER, by=reviewer("U8"), via=Via.slack, widened=True)
    assert eligible_reviewers(policy, widened=True) == (*LISTED.reviewers, "U8")
    assert eligible_reviewers(policy, widened=False) == LISTED.reviewers


# --- what cannot be asked for -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reviewers", "U123"),
        ("reviewers", ["somebody"]),
        ("reviewers", ["U123", ""]),
        ("reviewers", [None]),
        ("reviewers", {"U123"}),
        ("reviewers", ["u123"]),
        ("reviewers", ["U1 23"]),
        ("escalate_to", "@lead"),
        ("escalate_to", ["@"]),
        ("quorum", 0),
        ("quorum", 21),
        ("quorum", 1.5),
        ("quorum", True),
        ("quorum", "2"),
        ("risk", "low"),
        ("on_reject", "abort"),
        ("on_expiry", "approve"),
        ("on_expiry", ""),
        ("allow_self_approval", "no"),
        ("allow_edits", 1),
        ("channel", 7),
        ("escalate_channel", ["C1"]),
        ("redact", "card.number"),
        ("redact", ["card..number"]),
        ("allowed_via", "slack"),
        ("allowed_via", []),
        ("allowed_via", ["telephone"]),
        ("allowed_via", ["expiry"]),
        ("allowed_via", ["system"]),
        ("expires_in_hours", 0),
        ("expires_in_hours", -1),
        ("expires_in_hours", "2"),
        ("expires_in_hours", True),
        ("expires_in_hours", float("nan")),
        ("expires_in_hours", float("inf")),
        ("valid_for", "soon"),
        ("valid_for", 0),
        ("remind_after", "15"),
        ("escalate_after", timedelta(0)),
        ("escalate_after", [1]),
    ],
)
def test_a_field_that_cannot_be_used_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidDefinition, match=rf"^{field}: "):
        Approval(**{field: value})


@pytest.mark.parametrize(
    "reviewers", [["U123", "W0AB"], ["S0AB"], ["@dba-team", "@a.b"], ["jo@example.com"], ["api:ci"], ["slack:T1:U1"]]
)
def test_the_forms_of_a_reviewer(reviewers: list[str]) -> None:
    assert merge([Approval(reviewers=reviewers)], Defaults(), rules=()).reviewers == tuple(reviewers)


@pytest.mark.parametrize(
    ("written", "held"),
    [
        (" Alex@Example.COM ", "alex@example.com"),
        ("@Alex@example.com", "alex@example.com"),
        ("@DBA-Team", "@dba-team"),
        (" U0REVIEWER", "U0REVIEWER"),
        ("S0GROUP", "S0GROUP"),
        ("api:CI", "api:CI"),
        ("slack:T1:U1", "slack:T1:U1"),
    ],
)
def test_reviewers_are_written_in_one_way(written: str, held: str) -> None:
    assert Approval(reviewers=[written, held]).reviewers == (held,)
    assert Approval(escalate_to=[written]).escalate_to == (held,)
