"""An outsider asks people: an agent of any framework, or a program; no execution of ours waits for the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Kind
from agent_runtime.core.canonical import canonical, digest
from agent_runtime.core.checkpoints import describe
from agent_runtime.core.duration import microseconds
from agent_runtime.core.ids import APPROVAL_REQUEST_ID, APPROVAL_REQUEST_ID_RULE
from agent_runtime.core.policy import Approval, Defaults, Policy, asked
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import Conflict, InvalidRequest
from agent_runtime.operations.request import Asker, Question, begin
from agent_runtime.store.approvals import GET_APPROVAL_FOR_UPDATE
from agent_runtime.store.tx import Tx, unshared_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an outsider asks, as it came. All of it is the caller's word; nothing here was checked by the runtime.

    `approval` holds what it wants of the policy (reviewers, quorum, risk, expires_in_hours); checkpoints that match
    `tool_name` come first, the environment's defaults last. `requested_by` is recorded as asserted, no more. `preview`
    is what the call would do; its `valid_for` shortens how long an approval may be used.
    """

    title: str
    tool_name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    preview: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    requested_by: str = ""
    approval: Approval = field(default_factory=Approval)
    url: str = ""
    callback_url: str = ""
    approval_request_id: str | None = None
    """The caller's own id, used once for ever; minted where None."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The approval as it is now; `created` False where this very request was made before."""

    approval: ApprovalRequest
    created: bool


@unshared_rows
def ask(tx: Tx, wanted: Asked, defaults: Defaults, *, by: Actor, via: Via) -> Asking:
    """Asks for a decision on something that an outsider runs itself.

    The same id with the same request by the same principal returns the first approval. Raises Conflict where the id is
    anybody's or anything's else, InvalidRequest naming the field that cannot be used.
    """
    title = wanted.title.strip()
    if not title:
        raise InvalidRequest("title: is empty; say in one sentence what people are asked")
    request_digest = digest({"by": by.principal, **_as_json(wanted)})
    if wanted.approval_request_id is not None:
        earlier = _earlier(tx, wanted.approval_request_id, request_digest)
        if earlier is not None:
            return Asking(earlier, created=False)
    policy = _policy(wanted, defaults)
    shown = ""
    if wanted.tool_name:
        shown = describe(wanted.tool_name, wanted.arguments, defaults, redacted=policy.redact)
    question = Question(
        kind=Kind.external,
        policy=policy,
        tool_name=wanted.tool_name,
        arguments=canonical(dict(wanted.arguments), name="arguments"),
        title=shown or title,
        context=_context(wanted, title=title if shown else ""),
        url=wanted.url,
        approval_request_id=wanted.approval_request_id,
        preview=wanted.preview,
        callback_url=wanted.callback_url,
        request_digest=request_digest,
    )
    asker = Asker(by.principal, by=replace(by, asserted_by=wanted.requested_by or by.asserted_by), via=via)
    return Asking(begin(tx, asker, question, arguments=wanted.arguments), created=True)


def _earlier(tx: Tx, approval_request_id: str, request_digest: str) -> ApprovalRequest | None:
    if not APPROVAL_REQUEST_ID.fullmatch(approval_request_id):
        raise InvalidRequest(f"approval_request_id: {APPROVAL_REQUEST_ID_RULE}")
    earlier = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    if earlier is not None and earlier.request_digest != request_digest:
        raise Conflict(
            f"approval_request_id: {approval_request_id!r} was used for another request; an id is used once, for ever"
        )
    return earlier


def _policy(wanted: Asked, defaults: Defaults) -> Policy:
    policy = asked(wanted.tool_name, wanted.approval, defaults)
    valid_for = (wanted.preview or {}).get("valid_for")
    if valid_for is None:
        return policy
    return replace(policy, valid_for=min(policy.valid_for, microseconds(valid_for, "preview.valid_for")))


def _context(wanted: Asked, *, title: str) -> dict[str, Any] | None:
    """What the caller says beside the call, apart from what the runtime itself says in a context; see core.shown."""
    asserted = {"requested_by": wanted.requested_by, "title": title, "context": dict(wanted.context or {})}
    asserted = {name: value for name, value in asserted.items() if value}
    return {"asserted": asserted} if asserted else None


def _as_json(wanted: Asked) -> dict[str, Any]:
    """The whole request as JSON values. Raises InvalidJson naming the path."""
    policy = wanted.approval
    return {
        "title": wanted.title,
        "tool_name": wanted.tool_name,
        "arguments": dict(wanted.arguments),
        "preview": None if wanted.preview is None else dict(wanted.preview),
        "context": None if wanted.context is None else dict(wanted.context),
        "requested_by": wanted.requested_by,
        "reviewers": None if policy.reviewers is None else list(policy.reviewers),
        "quorum": policy.quorum,
        "risk": policy.risk,
        "expires_in_hours": policy.expires_in_hours,
        "url": wanted.url,
        "callback_url": wanted.callback_url,
    }
