"""Policy: is approval needed, who may decide, how many, how long, and what happens when they don't.

Evaluated once, when a call is proposed; its verdict (`Policy`) is stored with the approval and never derived again.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from agent_runtime.core.duration import DAY, Duration, microseconds
from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.redaction import parse_path
from agent_runtime.errors import InvalidDefinition, InvalidRequest, NotAuthorized

Risk = Literal["normal", "high"]
Ending = Literal["continue", "stop"]

DEFAULT_VALID_FOR = DAY
DOORS = tuple(via for via in Via if via not in {Via.expiry, Via.system})
"""The doors that people decide through."""

_REVIEWER = re.compile(r"[UWS][A-Z0-9]{2,}|@[\w.-]+|[^@\s]+@[^@\s]+\.[^@\s]+|api:[\w.-]+|slack:[A-Z0-9]+:[A-Z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Approval:
    """What a gate asks for; every field may be left out, and the next layer (then the default) fills it in.

    `reviewers`: `U…`, `S…`, `@group-handle`, e-mail, `api:NAME`. `expires_in_hours`: hours until nobody may decide
    any more (fractions allowed; None: the layer below). `valid_for`, `remind_after`, `escalate_after`: seconds, a
    timedelta or text such as "30m". `on_reject`, `on_expiry`: "continue" (the model is told) or "stop" (the execution
    fails). Raises InvalidDefinition naming the field that cannot be used.
    """

    reviewers: Sequence[str] | None = None
    quorum: int | None = None
    expires_in_hours: float | None = None
    valid_for: Duration | None = None
    remind_after: Duration | None = None
    escalate_after: Duration | None = None
    escalate_to: Sequence[str] | None = None
    escalate_channel: str | None = None
    risk: Risk | None = None
    on_reject: Ending | None = None
    on_expiry: Ending | None = None
    allow_self_approval: bool | None = None
    allow_edits: bool | None = None
    redact: Sequence[str] | None = None
    allowed_via: Sequence[str] | None = None
    channel: str | None = None

    def __post_init__(self) -> None:
        for field in ("reviewers", "escalate_to"):
            people = _list_of_text(getattr(self, field), field)
            if people is not None:
                people = tuple(dict.fromkeys(map(reviewer_name, people)))
                _check_people(people, field)
                object.__setattr__(self, field, people)
        quorum = self.quorum
        if quorum is not None and (isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= 20):
            raise InvalidDefinition(f"quorum: {quorum!r} must be a whole number from 1 to 20")
        for field, allowed in _CHOICES.items():
            value = getattr(self, field)
            if value is not None and value not in allowed:
                raise InvalidDefinition(f"{field}: {value!r} must be one of {', '.join(allowed)}")
        for field in ("allow_self_approval", "allow_edits"):
            if not isinstance(value := getattr(self, field), bool | None):
                raise InvalidDefinition(f"{field}: {value!r} must be true or false")
        for field in ("escalate_channel", "channel"):
            if not isinstance(value := getattr(self, field), str | None):
                raise InvalidDefinition(f"{field}: {value!r} must be a channel's id or name")
        for field in ("allowed_via", "redact"):
            object.__setattr__(self, field, _list_of_text(getattr(self, field), field))
        doors = self.allowed_via
        if doors is not None and not (doors and set(doors) <= set(DOORS)):
            raise InvalidDefinition(f"allowed_via: {list(doors)!r} must be a list out of {', '.join(DOORS)}")
        for path in self.redact or ():
            parse_path(path)
        _check_spans(self)


_CHOICES = {"risk": ("normal", "high"), "on_reject": ("continue", "stop"), "on_expiry": ("continue", "stop")}


def _list_of_text(value: Any, field: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise InvalidDefinition(f"{field}: {value!r} must be a list of texts")
    return tuple(value)


def reviewer_name(written: str) -> str:
    """A reviewer as lists hold them: e-mail addresses and handles in lower case, without blanks around them.

    An address with an @ before it (as people mention one another) is the address.
    """
    name = written.strip()
    if name.startswith("@") and "@" in name[1:]:
        name = name[1:]
    return name.lower() if "@" in name else name


def _check_people(people: Sequence[str], field: str) -> None:
    for person in people:
        if not _REVIEWER.fullmatch(person):
            raise InvalidDefinition(
                f"{field}: {person!r} is no reviewer; write a user (U…), a group (S… or @handle), an e-mail or api:NAME"
            )


def _check_spans(approval: Approval) -> None:
    hours = approval.expires_in_hours
    if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float)):
        raise InvalidDefinition(f"expires_in_hours: {hours!r} must be a number of hours")
    spans = {field: getattr(approval, field) for field in ("valid_for", "remind_after", "escalate_after")}
    spans["expires_in_hours"] = None if hours is None else hours * 3600
    for field, span in spans.items():
        try:
            if span is not None:
                microseconds(span, field)
        except InvalidRequest as error:
            raise InvalidDefinition(error.message) from error


@dataclass(frozen=True, slots=True)
class Policy:
    """The stored verdict: all that decides who may end an approval, and when it ends by itself. Spans in
    microseconds.
    """

    reviewers: tuple[str, ...] = ()
    quorum: int = 1
    expires_after: int | None = None
    valid_for: int = DEFAULT_VALID_FOR
    remind_after: int | None = None
    escalate_after: int | None = None
    escalate_to: tuple[str, ...] = ()
    escalate_channel: str = ""
    risk: Risk = "normal"
    on_reject: Ending = "continue"
    on_expiry: Ending = "continue"
    allow_self_approval: bool = False
    allow_edits: bool = False
    redact: tuple[str, ...] = ()
    allowed_via: tuple[str, ...] | None = None
    channel: str = ""
    rules: tuple[str, ...] = ()
    notified: bool = False
    """Whether a notifier shows it somewhere, so that its clock starts at the first delivery."""
    webhooks: bool = False
    """Whether the operator has receivers that are told of it."""

    def as_json(self) -> dict[str, Any]:
        """The fields that differ from their defaults, for the approval's row."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, default in _DEFAULTS.items()
            if (value := getattr(self, name)) != default
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Policy:
        """The policy that `as_json` wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
        }
        return cls(**fields)


_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Policy)}


@dataclass(frozen=True, slots=True)
class Gate:
    """One reason why a call needs a decision: the tool itself, or an operator's checkpoint."""

    rule: str
    approval: Approval


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An operator's gate on every tool whose name matches; `mode` "shadow" only records what would have been asked."""

    checkpoint_id: str
    matches: Callable[[str], bool]
    approval: Approval
    description_template: str = ""
    mode: Literal["enforce", "shadow"] = "enforce"


@dataclass(frozen=True, slots=True)
class Defaults:
    """The environment's answers where neither a tool nor a checkpoint gives one."""

    approval: Approval = Approval()
    checkpoints: tuple[Checkpoint, ...] = ()
    notified: bool = False
    webhooks: bool = False


def evaluate(tool_name: str, tool_gate: Approval | None, defaults: Defaults) -> Policy | None:
    """The policy for one proposed call, or None where nothing gates it.

    `tool_gate` is what the tool itself asks for (None: it asks for nothing). Gates add up: any one of them gates the
    call; a field is taken from the first checkpoint that sets it, else from the tool, else from the environment's
    defaults, but `stop` from any gate wins.
    """
    gates = _checkpoints(tool_name, defaults)
    if tool_gate is not None:
        gates.append(Gate(f"tool:{tool_name}", tool_gate))
    if not gates:
        return None
    return merge([gate.approval for gate in gates], defaults, rules=tuple([gate.rule for gate in gates]))


def asked(tool_name: str, wanted: Approval, defaults: Defaults) -> Policy:
    """The policy for what an outsider asks: matching checkpoints first, then what it wants, then the defaults."""
    gates = _checkpoints(tool_name, defaults) if tool_name else []
    return merge([*(gate.approval for gate in gates), wanted], defaults, rules=tuple(gate.rule for gate in gates))


def _checkpoints(tool_name: str, defaults: Defaults) -> list[Gate]:
    return [
        Gate(f"checkpoint:{point.checkpoint_id}", point.approval)
        for point in defaults.checkpoints
        if point.mode == "enforce" and point.matches(tool_name)
    ]


def merge(layers: Sequence[Approval], defaults: Defaults, *, rules: tuple[str, ...]) -> Policy:
    """`layers` in order of precedence over `defaults`, as a stored policy."""
    return _merged((*layers,), defaults.approval, rules, defaults.notified, defaults.webhooks)


@functools.lru_cache(maxsize=256)
def _merged(
    layers: tuple[Approval, ...], below: Approval, rules: tuple[str, ...], notified: bool, webhooks: bool
) -> Policy:
    """Few gates are behind many calls."""

    def first(field: str) -> Any:
        return next((value for layer in (*layers, below) if (value := getattr(layer, field)) is not None), None)

    def span(field: str) -> int | None:
        return None if (value := first(field)) is None else microseconds(value, field)

    hours = first("expires_in_hours")
    stops = {field: any(getattr(layer, field) == "stop" for layer in layers) for field in ("on_reject", "on_expiry")}
    return replace(
        Policy(),
        reviewers=tuple(first("reviewers") or ()),
        quorum=first("quorum") or 1,
        expires_after=None if hours is None else microseconds(hours * 3600, "expires_in_hours"),
        valid_for=span("valid_for") or DEFAULT_VALID_FOR,
        remind_after=span("remind_after"),
        escalate_after=span("escalate_after"),
        escalate_to=tuple(first("escalate_to") or ()),
        escalate_channel=first("escalate_channel") or "",
        risk=first("risk") or "normal",
        on_reject="stop" if stops["on_reject"] else first("on_reject") or "continue",
        on_expiry="stop" if stops["on_expiry"] else first("on_expiry") or "continue",
        allow_self_approval=bool(first("allow_self_approval")),
        allow_edits=bool(first("allow_edits")),
        redact=tuple(first("redact") or ()),
        allowed_via=None if (doors := first("allowed_via")) is None else tuple(doors),
        channel=first("channel") or "",
        rules=rules,
        notified=notified,
        webhooks=webhooks,
    )


def never_ending(policy: Policy) -> Policy:
    """The policy for a call in doubt: settled by one person, and never over before that."""
    return replace(policy, quorum=1, expires_after=None)


def may_decide(policy: Policy, *, requested_by: str, by: Actor, via: Via, widened: bool = False) -> None:
    """Passes where `by` may decide through `via`; raises NotAuthorized with the reason otherwise.

    `widened`: the escalation rung was reached, so `escalate_to` may decide too.
    """
    if by.barred:
        raise NotAuthorized(by.barred)
    if policy.allowed_via is not None and via not in (*policy.allowed_via, Via.expiry):
        raise NotAuthorized(f"this approval may not be decided through {via}; allowed: {', '.join(policy.allowed_via)}")
    if by.operator:
        return
    eligible = eligible_reviewers(policy, widened)
    if not eligible:
        raise NotAuthorized(
            "no reviewers are set for this approval, so nobody may decide it here; "
            "set reviewers on the tool's Approval, or COUNTERSIGN_REVIEWERS (`countersign doctor` checks them)"
        )
    if _is_requester(by, requested_by) and not policy.allow_self_approval:
        raise NotAuthorized("you asked for this, so somebody else must decide it", self_approval=True)
    if not (by.identities | {by.principal}) & set(eligible):
        raise NotAuthorized("you are not one of its reviewers", reviewers=list(eligible))


def _is_requester(by: Actor, requested_by: str) -> bool:
    """Also where a token names a person of Slack by the organisation and the click by the workspace: ids are one."""
    kind, _, user = requested_by.rpartition(":")
    return by.principal == requested_by or (kind.startswith("slack:") and user in by.identities)


def eligible_reviewers(policy: Policy, widened: bool) -> tuple[str, ...]:
    """Who may decide at this rung, in the order that they were named."""
    return tuple(dict.fromkeys(policy.reviewers + (policy.escalate_to if widened else ())))
