"""`countersign executions`, on executions that operations have brought about."""

from __future__ import annotations

from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.operations.advance import complete
from agent_runtime.store.database import Database
from tests.cli.command import Command
from tests.flow import Flow, free, gated

PROMPT = "Refund ORD-8821"
HIDDEN = {"order": "ORD-8821", "api_key": "sk-live-51Habcdefghijklmnop"}


async def test_list_filters_and_says_where_there_is_more(countersign: Command, open_rows: Database) -> None:
    first = await Flow.asked(open_rows)
    second = await Flow.started(open_rows)

    listed = (await countersign.done("executions", "list", "--json")).json
    assert [row["execution_id"] for row in listed] == [second.execution_id, first.execution_id]
    assert [row["status"] for row in listed] == ["queued", "waiting"]
    assert listed[1]["is_waiting"] is True
    assert listed[1]["pending_approvals"][0]["tool_name"] == "refund"

    shown = await countersign.done("executions", "list", "--status", "waiting", "--agent", "refund_agent")
    assert first.execution_id in shown.out
    assert second.execution_id not in shown.out
    assert (await countersign.done("executions", "list", "--agent", "nobody")).out == "no such executions\n"

    some = await countersign.done("executions", "list", "--limit", "1")
    assert second.execution_id in some.out
    assert first.execution_id not in some.out
    assert "more than 1" in some.err

    wrong = await countersign("executions", "list", "--status", "asleep")
    assert wrong.status == 2
    assert "--status" in wrong.err
    assert "waiting" in wrong.err


async def test_show_tells_input_steps_approvals_and_result(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows, gated(**HIDDEN), free())
    shown = await countersign.done("executions", "show", flow.execution_id)
    for words in (flow.execution_id, "refund_agent", "waiting", f'prompt: "{PROMPT}"', "refund", "gated", "pending"):
        assert words in shown.out, words
    assert (await flow.approval()).approval_request_id in shown.out
    assert HIDDEN["api_key"] not in shown.out

    answer = await countersign.done("executions", "show", flow.execution_id, "--json")
    assert answer.json["execution_id"] == flow.execution_id
    assert [step["kind"] for step in answer.json["steps"]] == ["model", "tool", "tool"]
    assert answer.json["steps"][1]["arguments"] == {"order": "ORD-8821", "api_key": "[redacted]"}
    assert HIDDEN["api_key"] not in answer.out


async def test_show_of_one_that_has_ended(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.started(open_rows)
    await flow.claim()
    await open_rows.write(
        complete, flow.held, ExecutionStatus.succeeded, output={"result": "Refunded."}, finish_reason="STOP"
    )
    shown = await countersign.done("executions", "show", flow.execution_id)
    assert "succeeded (STOP)" in shown.out
    assert '"Refunded."' in shown.out
    assert (await countersign.done("executions", "show", flow.execution_id, "--json")).json["result"] == "Refunded."


async def test_start_queues_and_says_when_nobody_runs_it(countersign: Command, open_rows: Database) -> None:
    await Flow.started(open_rows)
    options = ["--idempotency-key", "night-1", "--json"]
    begun = await countersign.done("executions", "start", "refund_agent", PROMPT, *options)
    assert begun.json["status"] == "queued"
    assert begun.json["requested_by"] == "local:operator"
    assert begun.json["input"] == {"prompt": PROMPT}
    assert (begun.json["created"], begun.json["no_worker"]) == (True, True)
    assert "no server that is up runs refund_agent" in begun.err

    again = (await countersign.done("executions", "start", "refund_agent", PROMPT, *options)).json
    assert (again["execution_id"], again["created"]) == (begun.json["execution_id"], False)
    other = await countersign("executions", "start", "refund_agent", "Something else", *options)
    assert other.status == 1
    assert "use a new one" in other.err


async def test_start_refuses_what_cannot_begin(countersign: Command, open_rows: Database) -> None:
    await Flow.started(open_rows)
    broken = await countersign("executions", "start", "refund_agent", "--input", "{")
    assert broken.status == 2
    assert "--input" in broken.err
    unknown = await countersign("executions", "start", "nobody", PROMPT)
    assert unknown.status == 1
    assert "'nobody'" in unknown.err
    assert "countersign serve --agents" in unknown.err
    reasoner = await countersign("executions", "start", "refund_agent.deep", PROMPT)
    assert reasoner.status == 1
    assert "'deep'" in reasoner.err


async def test_cancel_withdraws_what_was_asked_and_may_be_repeated(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows)
    answer = await countersign.done("executions", "cancel", flow.execution_id, "--reason", "the customer called")
    assert answer.out == f"{flow.execution_id} is cancelled\n"
    assert (await flow.approval()).status == "cancelled"
    again = (await countersign.done("executions", "cancel", flow.execution_id, "--json")).json
    assert again["status"] == "cancelled"
    assert again["error"]["message"] == "the customer called"


async def test_one_that_has_ended_cannot_be_cancelled(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.started(open_rows)
    await flow.claim()
    await open_rows.write(complete, flow.held, ExecutionStatus.succeeded, output={"result": 1}, finish_reason="STOP")
    answer = await countersign("executions", "cancel", flow.execution_id)
    assert answer.status == 1
    assert "succeeded" in answer.err


async def test_events_tell_what_happened_by_whom_through_which_door(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.asked(open_rows)
    await countersign.done("executions", "cancel", flow.execution_id, "--reason", "the customer called")
    answer = await countersign.done("executions", "events", flow.execution_id, "--json")
    assert [event["seq"] for event in answer.json] == [*range(1, len(answer.json) + 1)]
    assert [event["type"] for event in answer.json] == [event.type for event in await flow.events()]
    cancelled = next(event for event in answer.json if event["type"] == "execution.cancelled")
    assert (cancelled["by"], cancelled["via"], cancelled["why"]) == ("local:operator", "cli", "the customer called")
    shown = await countersign.done("executions", "events", flow.execution_id)
    assert "execution.cancelled" in shown.out
    assert "the customer called" in shown.out


async def test_unknown_ids(countersign: Command) -> None:
    for name in ("show", "cancel"):
        answer = await countersign("executions", name, "exe_none")
        assert answer.status == 1
        assert "'exe_none'" in answer.err
        assert answer.out == ""


async def test_nothing_that_was_written_reaches_the_terminal_raw(countersign: Command, open_rows: Database) -> None:
    nasty = "Refund \x1b[2J\u202eORD\u009b31m"
    flow = await Flow.started(open_rows, given={"prompt": nasty})
    shown = await countersign.done("executions", "show", flow.execution_id)
    assert "\\u{1b}[2J\\u{202e}ORD\\u{9b}31m" in shown.out
    answer = await countersign.done("executions", "show", flow.execution_id, "--json")
    assert answer.json["input"] == {"prompt": nasty}
    assert not {"\x1b", "\u202e", "\u009b"} & set(answer.out + shown.out)
