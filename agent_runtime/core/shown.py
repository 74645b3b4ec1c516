"""What leaves the runtime about an approval, wherever it goes: secrets masked, an outsider's words as an outsider's.

Only what is shown is masked; digests, the store and the call itself use the true values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Kind, Vote
from agent_runtime.core.canonical import JsonValue
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.redaction import REDACTED, redact
from agent_runtime.errors import InvalidDefinition

Paths = Sequence[str]
"""What a tool's policy redacts."""


def masked(value: JsonValue, paths: Paths = ()) -> Any:
    """`value` fit to be shown; wholly masked where a path cannot be read, as that one may matter."""
    try:
        return redact(value, paths)
    except InvalidDefinition:
        return REDACTED


def without_secret_edits(data: Mapping[str, Any], paths: Paths) -> dict[str, Any]:
    """Edited arguments are stored as their canonical text; shown, they are JSON with secrets masked."""
    edited = data.get("edited_arguments")
    return dict(data) if edited is None else {**data, "edited_arguments": masked(json.loads(edited), paths)}


def given_context(approval: ApprovalRequest) -> dict[str, Any]:
    """What was said beside the call. Of an outsider's approval all of it is the outsider's, so that no field of it can
    pass for the runtime's: its own context under `context`, `requested_by` and the `title` that it gave.
    """
    given = json.loads(approval.context) if approval.context else {}
    return given if isinstance(given, dict) else {}


def asserted(approval: ApprovalRequest) -> dict[str, Any]:
    """What an outside agent says about its request, which nobody has checked; {} for the runtime's own approvals."""
    said = given_context(approval).get("asserted")
    return said if isinstance(said, dict) else {}


def approval_shown(approval: ApprovalRequest, votes: Sequence[Vote]) -> dict[str, Any]:
    """The public JSON of an approval, with its arguments, edits, preview and context masked."""
    paths = approval.policy.redact
    shown = approval.as_json(votes)
    said = asserted(approval)
    context = said.get("context") if said or approval.kind == Kind.external else given_context(approval)
    shown["arguments"] = masked(shown["arguments"], paths)
    shown["context"] = masked(context) if context else None
    shown["preview"] = None if approval.preview is None else masked(json.loads(approval.preview), paths)
    shown["asserted"] = masked({name: said[name] for name in ("requested_by", "title") if name in said}) or None
    shown["resolution"] = None if approval.resolution is None else without_secret_edits(approval.resolution, paths)
    shown["valid_until"] = rfc3339(approval.valid_until)
    return shown
