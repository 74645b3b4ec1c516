"""The LLM loop with people in it: mixed turns, what the model is told, limits, structured output."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

from agent_runtime.agent import Agent
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.policy import Approval
from agent_runtime.errors import ModelRefused, ModelUnavailable
from agent_runtime.tools import Tool, tool
from tests.engine.conftest import Begin, OpenReplica
from tests.engine.replies import Replies, calls, says
from tests.engine.running import Run
from tests.flow import APPROVE, REJECT

SOON = 0.2 / 3600
"""A fifth of a second, in hours."""


class Ledger:
    """What ran, in order; `refund` and `wipe` are gated, `look` is free."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, Any]] = []

    def tools(self, **approval: Any) -> list[Tool]:
        gate = Approval(**approval)

        @tool
        def look(order: str) -> dict[str, Any]:
            """Look an order up."""
            self.ran.append(("look", order))
            return {"order": order, "paid": 20}

        @tool(approval=gate)
        async def refund(order: str, amount: float = 1.5) -> str:
            """Pay back."""
            self.ran.append(("refund", (order, amount)))
            return f"refunded {amount} of {order}"

        @tool(approval=gate)
        def wipe(table: str) -> None:
            """Delete a table."""
            self.ran.append(("wipe", table))

        return [look, refund, wipe]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


MIXED = calls(("look", {"order": "ORD-8821"}), ("refund", {"order": "ORD-8821"}), ("wipe", {"table": "orders"}))
ONE = calls(("refund", {"order": "ORD-8821"}))
DONE = says("Done.")


# --- several calls in one turn ------------------------------------------------------------------------------


async def test_a_mixed_turn(begin: Begin, ledger: Ledger) -> None:
    model = Replies(MIXED, DONE)
    run = await begin(model, *ledger.tools())
    first, second = await run.waits()
    assert ledger.ran == [("look", "ORD-8821")]
    assert [step.status for step in await run.journal()] == ["succeeded", "succeeded", "gated", "gated"]
    assert [first.tool_name, second.tool_name] == ["refund", "wipe"]
    await run.resolve(REJECT, position=3)
    await run.waits()
    assert len(model.requests) == 1
    await run.resolve(APPROVE, position=2)
    assert await run.output() == "Done."
    assert ledger.ran == [("look", "ORD-8821"), ("refund", ("ORD-8821", 1.5))]
    assert model.heard == [
        '{"order":"ORD-8821","paid":20}',
        "refunded 1.5 of ORD-8821",
        'rejected by the reviewer: "Too much.". The call did not run.',
    ]
    assert [said.get("tool_call_id") for said in model.requests[-1].messages[2:]] == ["call_0", "call_1", "call_2"]
    execution = await run.ends()
    assert json.loads(execution.result or "{}") == {"result": "Done.", "finishReason": "STOP"}


async def test_all_at_once_whatever_order_they_are_decided_in(begin: Begin, ledger: Ledger) -> None:
    model = Replies(calls(*(("wipe", {"table": f"t{n}"}) for n in range(6))), DONE)
    run = await begin(model, *ledger.tools())
    await run.waits()
    await asyncio.gather(*(run.resolve(position=position) for position in (6, 2, 4, 1, 5, 3)))
    assert await run.output() == "Done."
    assert sorted(ledger.ran) == [("wipe", f"t{n}") for n in range(6)]
    assert model.heard == ["null"] * 6


async def test_a_call_is_decided_and_run_while_another_still_runs(begin: Begin, ledger: Ledger) -> None:
    finish = asyncio.Event()

    @tool
    async def slow() -> str:
        await finish.wait()
        ledger.ran.append(("slow", None))
        return "slow"

    model = Replies(calls(("slow", {}), ("wipe", {"table": "orders"}), ("wipe", {"table": "lines"})), DONE)
    run = await begin(model, slow, *ledger.tools())
    await run.asks(2)
    assert (await run.execution()).status == "running"
    await run.resolve(position=2)
    await run.has("succeeded", 2)
    assert ledger.ran == [("wipe", "orders")]
    await run.resolve(REJECT, position=3)
    await run.has("refused", 3)
    assert (await run.execution()).status == "running"
    finish.set()
    assert await run.output() == "Done."
    assert ledger.ran == [("wipe", "orders"), ("slow", None)]
    assert "execution.waiting" not in await run.types()


async def test_what_it_saw_while_it_ran_does_not_wake_it_again(begin: Begin, ledger: Ledger) -> None:
    finish = asyncio.Event()
    model = Replies(calls(("slow", {}), ("wipe", {"table": "orders"}), ("wipe", {"table": "lines"})), DONE)
    run = await begin(model, Tool(finish.wait, name="slow"), *ledger.tools())
    await run.asks(2)
    await run.resolve(position=2)
    await run.has("succeeded", 2)
    finish.set()
    await run.waits()
    assert (await run.types()).count("execution.claimed") == 1
    await run.resolve(position=3)
    assert await run.output() == "Done."
    assert (await run.types()).count("execution.claimed") == 2


async def test_several_turns_with_people_in_each(begin: Begin, ledger: Ledger) -> None:
    model = Replies(ONE, calls(("wipe", {"table": "orders"})), ONE, DONE)
    run = await begin(model, *ledger.tools())
    for position, decision in ((1, APPROVE), (3, REJECT), (5, APPROVE)):
        await run.waits()
        await run.resolve(decision, position=position)
    assert await run.output() == "Done."
    assert [name for name, _ in ledger.ran] == ["refund", "refund"]
    assert len(model.heard) == 3


# --- what people say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (REJECT, 'rejected by the reviewer: "Too much."'),
        (Decision(Verdict.request_changes, "At most 1."), 'changes requested by the reviewer: "At most 1."'),
    ],
)
async def test_the_model_takes_up_what_people_said(begin: Begin, ledger: Ledger, decision: Decision, told: str) -> None:
    model = Replies(ONE, lambda request: says(f"Then not: {request.messages[-1]['content']}"))
    run = await begin(model, *ledger.tools())
    await run.waits()
    await run.resolve(decision)
    assert told in await run.output()
    assert ledger.ran == []


async def test_the_model_is_told_of_an_expiry(begin: Begin, ledger: Ledger) -> None:
    model = Replies(ONE, DONE)
    run = await begin(model, *ledger.tools(expires_in_hours=SOON))
    assert await run.output() == "Done."
    assert model.heard == ["expired. The call did not run."]
    assert ledger.ran == []


async def test_edited_arguments_run_and_the_model_is_told(begin: Begin, ledger: Ledger) -> None:
    model = Replies(ONE, DONE)
    run = await begin(model, *ledger.tools(allow_edits=True))
    await run.waits()
    await run.resolve(Decision(Verdict.approved, edited_arguments='{"amount":1,"order":"ORD-8821"}'))
    assert await run.output() == "Done."
    assert ledger.ran == [("refund", ("ORD-8821", 1.0))]
    told = json.loads(model.heard[0])
    assert (told["result"], told["arguments"]) == ("refunded 1.0 of ORD-8821", {"amount": 1, "order": "ORD-8821"})


async def test_a_gate_with_stop_ends_it_when_rejected(begin: Begin, ledger: Ledger) -> None:
    model = Replies(MIXED)
    run = await begin(model, *ledger.tools(on_reject="stop"))
    await run.waits()
    await run.resolve(REJECT, position=2)
    assert await run.output() == {"type": "CollaborationError", "message": "rejected: Too much."}
    execution = await run.ends()
    assert (execution.status, execution.finish_reason) == ("failed", "REJECTED")
    assert json.loads(execution.result or "{}")["result"]
    assert ledger.ran == [("look", "ORD-8821")]
    assert (await run.approval(3)).status == "cancelled"
    assert len(model.requests) == 1


async def test_a_gate_with_stop_ends_it_when_nobody_decides(begin: Begin, ledger: Ledger) -> None:
    run = await begin([ONE], *ledger.tools(on_expiry="stop", expires_in_hours=SOON))
    assert await run.output() == {"type": "TimeoutError", "message": "nobody decided on refund in time"}
    assert (await run.ends()).finish_reason == "TIMEOUT"


async def test_a_call_that_is_gated_by_its_arguments(begin: Begin) -> None:
    paid: list[float] = []

    @tool(approval_required=lambda amount: amount > 10)
    def pay(amount: float) -> None:
        paid.append(amount)

    run = await begin([calls(("pay", {"amount": 5}), ("pay", {"amount": 50})), DONE], pay)
    [approval] = await run.waits()
    assert json.loads(approval.arguments) == {"amount": 50}
    assert paid == [5]
    await run.resolve(position=2)
    assert await run.output() == "Done."
    assert paid == [5, 50]


# --- what a model may get wrong -----------------------------------------------------------------------------


WRONG: list[tuple[str, Any, str]] = [
    ("rm_rf", {}, "there is no tool called 'rm_rf'"),
    ("refund", "{not json", "invalid arguments"),
    ("refund", "[1]", "must be a JSON object"),
    ("refund", {}, "order: Field required"),
    ("refund", {"order": "a", "amount": "much"}, "amount: Input should be a valid number"),
    ("refund", {"order": "a", "to": "me"}, "to: Extra inputs are not permitted"),
    ("refund", '{"order": "a", "amount": NaN}', "NaN"),
    ("refund", '{"order": "a", "amount": 1e999}', "too large"),
    ("refund", '{"order": "a", "order": "b"}', "more than once"),
    ("refund", '{"order": "\\ud800"}', "surrogate"),
    ("look", '{"order": 9007199254740993}', "pass it as a string"),
]


async def test_a_call_that_cannot_be_made_is_told_and_asks_nobody(begin: Begin, ledger: Ledger) -> None:
    wrong = [(name, given) for name, given, _ in WRONG]
    model = Replies(calls(*wrong, ("look", {"order": "ORD-8821"})), DONE)
    run = await begin(model, *ledger.tools())
    assert await run.output() == "Done."
    for heard, (_, _, told) in zip(model.heard, WRONG, strict=False):
        assert heard.startswith("error: ")
        assert told in heard
    assert model.heard[-1] == '{"order":"ORD-8821","paid":20}'
    assert await run.approvals() == []
    assert ledger.ran == [("look", "ORD-8821")]


async def test_no_arguments_at_all_are_an_empty_object(begin: Begin) -> None:
    model = Replies(calls(("ping", "")), DONE)
    run = await begin(model, tool(name="ping")(lambda: "pong"))
    assert await run.output() == "Done."
    assert model.heard == ["pong"]


async def test_too_many_turns(begin: Begin, ledger: Ledger) -> None:
    again = calls(("look", {"order": "ORD-8821"}))
    run = await begin([again, again, again, DONE], *ledger.tools(), max_turns=3)
    assert await run.output() == {"type": "MaxTurns", "message": "no answer within 3 turns"}
    assert (await run.ends()).finish_reason == "MAX_TURNS"
    assert len(ledger.ran) == 3


async def test_too_many_calls_of_one_tool(begin: Begin) -> None:
    ran: list[int] = []

    @tool(max_calls=2)
    def step(n: int) -> int:
        ran.append(n)
        return n

    model = Replies(calls(*(("step", {"n": n}) for n in range(3))), calls(("step", {"n": 3})), DONE)
    run = await begin(model, step)
    assert await run.output() == "Done."
    assert sorted(ran) == [0, 1]
    assert model.heard == ["0", "1", "error: step was called 2 times", "error: step was called 2 times"]


# --- the model's service ------------------------------------------------------------------------------------


async def test_while_it_is_away_what_was_done_is_kept(begin: Begin, ledger: Ledger) -> None:
    answers = iter([ModelUnavailable("openai: 503"), DONE])
    model = Replies(calls(("look", {"order": "ORD-8821"})), lambda request: next(answers))
    run = await begin(model, *ledger.tools())
    assert await run.output() == "Done."
    assert ledger.ran == [("look", "ORD-8821")]
    assert len(model.requests) == 3
    postponed = next(event for event in await run.events() if event.type == "execution.postponed")
    assert json.loads(postponed.data) == {"reason": "openai: 503"}
    claimed = [event.at for event in await run.events() if event.type == "execution.claimed"]
    assert claimed[-1] - postponed.at >= 1_000_000


async def test_what_it_refuses_fails_with_its_reason(begin: Begin) -> None:
    run = await begin([ModelRefused("openai: 401 Incorrect API key provided")])
    assert await run.output() == {"type": "ModelRefused", "message": "openai: 401 Incorrect API key provided"}
    assert (await run.ends()).finish_reason == "ERROR"


# --- structured output --------------------------------------------------------------------------------------


class Verdicts(BaseModel):
    ok: bool
    score: float = 0.0


async def test_an_answer_in_the_wanted_form(begin: Begin) -> None:
    model = Replies(says('{"ok": true, "score": 0.5}'))
    run = await begin(model, output_type=Verdicts)
    assert await run.output() == {"ok": True, "score": 0.5}
    wanted = model.requests[0].response_format
    assert wanted is not None
    assert wanted["json_schema"]["name"] == "Verdicts"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("I think so.", "Invalid JSON"),
        ('{"score": 1}', "ok: Field required"),
        ('{"ok": true, "score": NaN}', "value.score is not a finite number"),
        ("", "Invalid JSON"),
    ],
)
async def test_another_form_is_asked_for_again_with_the_problem(begin: Begin, answer: str, problem: str) -> None:
    model = Replies(says(answer), says('{"ok": false}'))
    run = await begin(model, output_type=Verdicts)
    assert await run.output() == {"ok": False, "score": 0.0}
    asked = model.requests[-1].messages[-1]
    assert asked["role"] == "user"
    assert asked["content"].startswith("the answer does not fit the wanted output: ")
    assert problem in asked["content"]
    assert "pydantic" not in asked["content"]


async def test_the_wrong_form_for_ever_ends_with_the_turns(begin: Begin) -> None:
    run = await begin([says("no")] * 3, output_type=Verdicts, max_turns=3)
    assert (await run.output())["type"] == "MaxTurns"


# --- a conversation -----------------------------------------------------------------------------------------


async def test_a_follow_up_hears_what_was_said_before(open_replica: OpenReplica) -> None:
    model = Replies(says("Which order?"), says("Refunded."))
    replica = await open_replica(model, Agent("an_agent", instructions="Be brief."))
    first = await Run.begun(replica, "an_agent", "Refund it", conversation_id="C1")
    assert await first.output() == "Which order?"
    second = await Run.begun(replica, "an_agent", "ORD-8821", conversation_id="C1")
    assert await second.output() == "Refunded."
    assert [(said["role"], said["content"]) for said in model.requests[-1].messages] == [
        ("system", "Be brief."),
        ("user", "Refund it"),
        ("assistant", "Which order?"),
        ("user", "ORD-8821"),
    ]
