"""`countersign approvals`: reading, deciding and settling, by the same path as every other door."""

from __future__ import annotations

from agent_runtime.core.policy import Defaults, Policy
from agent_runtime.operations.calls import ask_in_doubt
from agent_runtime.store.database import Database
from tests.cli.command import Command
from tests.flow import Flow, approval_of, gated
from tests.samples import REVIEWERS

HOUR = 3_600_000_000
SECRETS = {"order": "ORD-8821", "api_key": "sk-live-51Habcdefghijklmnop", "iban": "DE89370400440532013000"}


async def in_doubt(open_rows: Database) -> tuple[Flow, str]:
    """A call that was started and of which nobody knows whether it happened; the id of the question about it."""
    flow = await Flow.asked(open_rows)
    await flow.resolve()
    await flow.claim()
    begun = await flow.start_call()
    await open_rows.write(ask_in_doubt, flow.held, begun, "its process died", Defaults())
    await flow.park()
    doubt = next(approval for approval in await flow.approvals() if approval.kind == "in_doubt")
    return flow, doubt.approval_request_id


async def test_list_shows_what_waits(countersign: Command, open_rows: Database) -> None:
    assert (await countersign.done("approvals", "list")).out == "nothing waits for a decision\n"
    waiting, decided = await Flow.asked(open_rows), await Flow.asked(open_rows)
    asked, other = await waiting.approval(), await decided.approval()
    await decided.resolve()

    shown = await countersign.done("approvals", "list")
    assert asked.approval_request_id in shown.out
    assert other.approval_request_id not in shown.out
    rows = (await countersign.done("approvals", "list", "--status", "all", "--kind", "tool", "--json")).json
    assert {row["approval_request_id"]: row["status"] for row in rows} == {
        asked.approval_request_id: "pending",
        other.approval_request_id: "approved",
    }
    some = await countersign.done("approvals", "list", "--status", "all", "--limit", "1")
    assert "more than 1" in some.err
    wrong = await countersign("approvals", "list", "--kind", "odd")
    assert wrong.status == 2
    assert "--kind" in wrong.err


async def test_show_is_all_that_one_needs_to_decide(countersign: Command, open_rows: Database) -> None:
    policy = Policy(
        reviewers=REVIEWERS, quorum=2, risk="high", expires_after=24 * HOUR, redact=("iban",), rules=("tool:refund",)
    )
    note = "first line\nsecond \x1b[31mline"
    flow = await Flow.asked(open_rows, gated(policy=policy, note=note, **SECRETS))
    asked = await flow.approval()
    shown = await countersign.done("approvals", "show", asked.approval_request_id)
    lines = [line.strip() for line in shown.out.splitlines()]
    assert lines[0] == "⏳ Approval needed: refund"
    for words in (
        "in 24 h",
        "HIGH: read all of it",
        "U1, U2, U3; 0 of 2 approvals given; not who asked",
        "tool:refund",
        flow.execution_id,
        asked.digest,
        "I will do that.",
    ):
        assert words in shown.out, words
    for line in ('order: "ORD-8821"', "note: text of 2 lines", "| first line", "| second \\u{1b}[31mline"):
        assert line in lines, line
    assert SECRETS["api_key"] not in shown.out
    assert SECRETS["iban"] not in shown.out
    assert "\x1b" not in shown.out

    answer = await countersign.done("approvals", "show", asked.approval_request_id, "--json")
    assert answer.json["arguments"] == {
        "order": "ORD-8821",
        "api_key": "[redacted]",
        "iban": "[redacted]",
        "note": note,
    }
    assert (answer.json["quorum"], answer.json["risk"], answer.json["decisions"]) == (2, "high", [])
    assert SECRETS["iban"] not in answer.out


async def test_show_without_reviewers_or_an_end_says_so(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows, gated(policy=Policy()))
    shown = await countersign.done("approvals", "show", (await flow.approval()).approval_request_id)
    assert "no reviewers are set" in shown.out
    assert "never" in shown.out


async def test_approve_once(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows)
    identifier = (await flow.approval()).approval_request_id
    answer = await countersign.done("approvals", "approve", identifier, "-m", "checked the order")
    assert answer.out == f"{identifier} is approved\n"
    decided = await flow.approval()
    assert (decided.status, decided.decided_by, decided.feedback) == ("approved", "local:operator", "checked the order")
    assert (await flow.execution()).status == "queued"

    again = await countersign.done("approvals", "approve", identifier, "-m", "checked the order", "--json")
    assert again.json["already_processed"] is True
    assert [decision["via"] for decision in again.json["decisions"]] == ["cli"]
    other = await countersign("approvals", "reject", identifier)
    assert other.status == 1
    assert "already approved by local:operator" in other.err

    shown = await countersign.done("approvals", "show", identifier)
    assert "approved, by local:operator, on the command line" in shown.out
    assert "“checked the order”" in shown.out


async def test_approve_only_what_was_shown(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows)
    asked = await flow.approval()
    stale = await countersign("approvals", "approve", asked.approval_request_id, "--digest", "sha256:other")
    assert stale.status == 1
    assert "look again" in stale.err
    await countersign.done("approvals", "approve", asked.approval_request_id, "--digest", asked.digest)


async def test_reject_and_request_changes_tell_the_agent_why(countersign: Command, open_rows: Database) -> None:
    first, second = await Flow.asked(open_rows), await Flow.asked(open_rows)
    rejected, changed = await first.approval(), await second.approval()
    answer = await countersign.done("approvals", "reject", rejected.approval_request_id, "--reason", "too much")
    assert answer.out.endswith(" is rejected\n")
    answer = await countersign.done(
        "approvals", "request-changes", changed.approval_request_id, "--changes", "half of it", "--json"
    )
    assert answer.json["status"] == "request_changes"
    assert answer.json["already_processed"] is False
    assert ((await first.approval()).feedback, (await second.approval()).feedback) == ("too much", "half of it")

    long = await countersign("approvals", "reject", rejected.approval_request_id, "--reason", "x" * 10_001)
    assert (long.status, "feedback: has 10,001 characters; at most 10,000" in long.said) == (2, True)
    empty = await countersign("approvals", "request-changes", changed.approval_request_id, "--changes", " ")
    assert empty.status == 2
    assert "--changes" in empty.err


async def test_a_door_that_the_policy_leaves_out(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows, gated(policy=Policy(reviewers=REVIEWERS, allowed_via=("slack",))))
    answer = await countersign("approvals", "approve", (await flow.approval()).approval_request_id)
    assert answer.status == 1
    assert "may not be decided through cli; allowed: slack" in answer.err
    assert (await flow.approval()).pending


async def test_settle_a_call_in_doubt(countersign: Command, open_rows: Database) -> None:
    flow, identifier = await in_doubt(open_rows)
    shown = await countersign.done("approvals", "show", identifier)
    assert "countersign approvals settle" in shown.out
    plain = await countersign("approvals", "approve", identifier)
    assert plain.status == 2
    assert "settled" in plain.err

    wrong = await countersign("approvals", "settle", identifier, "stop", "--result", "1")
    assert wrong.status == 2
    assert "--result" in wrong.err
    answer = await countersign.done(
        "approvals", "settle", identifier, "happened", "--result", '{"refunded": true}', "-m", "seen at the bank"
    )
    assert answer.out == f"{identifier} is settled: happened\n"
    assert await flow.result() == {"value": {"refunded": True}, "settled_by": "local:operator"}
    assert "settled: happened, by local:operator" in (await countersign.done("approvals", "show", identifier)).out


async def test_settled_as_not_happened_is_asked_again(countersign: Command, open_rows: Database) -> None:
    flow, identifier = await in_doubt(open_rows)
    await countersign.done("approvals", "settle", identifier, "not_happened")
    fresh = await flow.approval()
    assert (fresh.kind, fresh.status, fresh.supersedes) == ("tool", "pending", identifier)
    shown = await countersign.done("approvals", "show", fresh.approval_request_id)
    assert f"replaces {identifier}" in shown.said
    assert "asked again: it did not happen" in shown.out


async def test_unknown_ids(countersign: Command) -> None:
    for name, *options in (["show"], ["approve"], ["settle", "stop"]):
        answer = await countersign("approvals", name, "apr_none", *options)
        assert answer.status == 1, answer
        assert "apr_none" in answer.err


async def test_one_that_has_expired_cannot_be_decided(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows, gated(policy=Policy(reviewers=REVIEWERS, expires_after=1)))
    identifier = (await flow.approval()).approval_request_id
    assert "ago; nothing runs" in (await countersign.done("approvals", "show", identifier)).out
    answer = await countersign("approvals", "approve", identifier)
    assert answer.status == 1
    assert "expired" in answer.err
    assert (await approval_of(open_rows, identifier)).pending
