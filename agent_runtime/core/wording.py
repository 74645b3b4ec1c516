"""What an approval is called on cards, notes and lists: icons with words, titles, arguments, results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.canonical import JsonValue, canonical
from agent_runtime.core.display import Rendered, direction_warning, homoglyph_warning, pretty, shorten, visible
from agent_runtime.core.permit import PermitStatus
from agent_runtime.core.principal import Via
from agent_runtime.core.redaction import redact, redact_shown
from agent_runtime.core.shown import asserted, given_context

STATUS: Mapping[str, tuple[str, str]] = {
    ApprovalStatus.pending: ("⏳", "Approval needed"),
    ApprovalStatus.approved: ("✅", "Approved"),
    ApprovalStatus.rejected: ("⛔", "Rejected"),
    ApprovalStatus.request_changes: ("✏️", "Changes requested"),
    ApprovalStatus.expired: ("⌛", "Expired"),
    ApprovalStatus.cancelled: ("🚫", "Withdrawn"),
}
SETTLED: Mapping[str, tuple[str, str]] = {
    "happened": ("✅", "Settled: it happened"),
    "not_happened": ("↩️", "Settled: it did not happen"),
    "stop": ("⛔", "Settled: stopped"),
}
DOORS: Mapping[str, str] = {
    Via.slack: "in Slack",
    Via.api: "through the API",
    Via.webhook: "through the webhook",
    Via.dashboard: "on the dashboard",
    Via.cli: "on the command line",
    Via.sdk: "from Python",
    Via.expiry: "by expiry",
    Via.system: "by the runtime",
}
"""Through which door a decision came, as the end of a sentence."""

PREVIEW = "What it says it would do (nobody has checked it)"
_DEFAULT_TITLE = "Approval needed: "
_FULL = 10_000_000


def state(approval: ApprovalRequest) -> tuple[str, str]:
    """The icon and the word for where an approval stands."""
    if approval.kind == Kind.in_doubt:
        if approval.pending:
            return "❓", "In doubt"
        outcome = str((approval.resolution or {}).get("outcome", ""))
        return SETTLED.get(outcome, STATUS[ApprovalStatus(approval.status)])
    return STATUS[ApprovalStatus(approval.status)]


def subject(approval: ApprovalRequest) -> str:
    """What is asked, as a sentence or as the tool's name; untrusted."""
    if approval.kind == Kind.in_doubt and not approval.pending:
        return approval.tool_name or redact_shown(approval.title)
    title = approval.title.removeprefix(_DEFAULT_TITLE).removeprefix("In doubt: ")
    return redact_shown(title) or approval.tool_name


def headline(approval: ApprovalRequest) -> str:
    """The card's first line: icon, word and what is asked; untrusted."""
    icon, word = state(approval)
    return f"{icon} {word}: {subject(approval)}"


def arguments(approval: ApprovalRequest) -> JsonValue:
    """The arguments as they may be shown: secrets masked, and the approver's edits applied."""
    return redact(json.loads(approval.run_arguments), approval.policy.redact)


def shown_arguments(approval: ApprovalRequest, lines: int, characters: int) -> Rendered:
    """The arguments as a tree within both limits, and whether that is all of them."""
    return pretty(arguments(approval), limit_lines=lines, limit_chars=characters)


def all_arguments(approval: ApprovalRequest) -> str:
    """The whole tree, however long."""
    return pretty(arguments(approval), limit_lines=_FULL, limit_chars=_FULL).text


def summary(approval: ApprovalRequest, limit: int) -> str:
    """The call on one line: `process_refund order_id "ORD-8821", amount 29.99`; made visible."""
    shown = arguments(approval)
    items = shown.items() if isinstance(shown, dict) else ()
    parts = ", ".join(f"{key} {value if isinstance(value, int | float) else canonical(value)}" for key, value in items)
    title = subject(approval)
    call = title if title != approval.tool_name else f"{title} {parts}"
    return shorten(visible(call.strip()), limit)[0]


def value_of(approval: ApprovalRequest, value: JsonValue, lines: int, characters: int) -> str:
    """What a call returned, as a tree; secrets masked."""
    return pretty(redact(value, approval.policy.redact), limit_lines=lines, limit_chars=characters).text


def context(approval: ApprovalRequest) -> dict[str, Any]:
    """What the agent or the runtime said beside the call: `words` are the agent's, `why` the runtime's."""
    return given_context(approval)


def preview(approval: ApprovalRequest, lines: int, characters: int) -> Rendered | None:
    """What the call would do, as a tree within both limits; untrusted."""
    if approval.preview is None:
        return None
    shown = redact(json.loads(approval.preview), approval.policy.redact)
    return pretty(shown, limit_lines=lines, limit_chars=characters)


def words_of_agent(approval: ApprovalRequest) -> str:
    """What the agent itself says, and the link that it gives; untrusted, secrets masked."""
    given = context(approval)
    notes = given.get("notes")
    said = [str(given.get("words") or ""), *(map(str, notes) if isinstance(notes, list) else ())]
    said += _words_of_outsider(approval)
    link = f"Its link (nobody has checked it): {approval.url}" if approval.url else ""
    return redact_shown("\n".join(part for part in (*said, link) if part))


def words_title(approval: ApprovalRequest) -> str:
    """What stands above the words of whoever asks."""
    return "The asker's own words (nobody has checked them)" if approval.kind == Kind.external else _AGENTS_WORDS


_AGENTS_WORDS = "The agent's own words"


def _words_of_outsider(approval: ApprovalRequest) -> list[str]:
    """What an outside agent says of its request, each part with its name; nothing of it was checked."""
    said = asserted(approval)
    words = [f"{label}: {said[name]}" for name, label in _ASSERTED.items() if name in said]
    context = redact(said.get("context", {}))
    items = context.items() if isinstance(context, dict) else ()
    return [*words, *(f"{key}: {value if isinstance(value, str) else canonical(value)}" for key, value in items)]


_ASSERTED = {"requested_by": "It says it asks for", "title": "It calls this"}


PERMITS: Mapping[str, tuple[str, str, str]] = {
    PermitStatus.claimed: ("▶️", "Claimed", "whoever asked may be running it now."),
    PermitStatus.succeeded: ("✅", "It ran", "so it was reported."),
    PermitStatus.failed: ("❌", "It failed", "says whoever asked."),
    PermitStatus.in_doubt: ("❓", "In doubt", "nobody knows whether the call took effect; a newer card asks."),
    PermitStatus.not_happened: ("↩️", "Asked again", "it did not happen; a newer card stands for this call."),
    PermitStatus.stopped: ("⛔", "Stopped", "a person ended it; it does not run again."),
}
"""What became of a call that an outside agent runs: icon, word, sentence. Nobody here saw it run."""


def nothing_runs(approval: ApprovalRequest) -> str:
    """What it means that nobody approved: for a call that it does not run."""
    return " Nothing runs." if approval.kind in {Kind.tool, Kind.external} else ""


def warnings(approval: ApprovalRequest) -> list[str]:
    """Sentences on words that may be read as something else; the words in them are untrusted."""
    found: list[str] = []
    strings = _strings(json.loads(approval.run_arguments))
    for text in (approval.tool_name, subject(approval), " ".join(strings)):
        for warning in (homoglyph_warning(text), direction_warning(text)):
            if warning is not None and warning not in found:
                found.append(warning)
    return found[:3]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []
