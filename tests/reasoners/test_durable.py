"""What a reasoner asks for is done once and recorded: ai, steps, calls, notes; its end, and what it is given."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from agent_runtime.agent import Agent
from agent_runtime.errors import ModelRefused, StepFailed
from tests.engine.conftest import OpenReplica
from tests.engine.running import Run
from tests.reasoners.running import AGENT, Answers, begin, notes


class Assessment(BaseModel):
    risk_score: int
    amount: Decimal
    flags: set[str] = set()


async def test_the_input_is_typed_and_the_return_value_is_the_result(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def assess(claim: Assessment, factor: float = 1.5) -> dict[str, Any]:
        assert isinstance(claim, Assessment)
        return {"score": claim.risk_score * factor, "claim": claim}

    run = await begin(await open_replica(Answers(), app), claim={"risk_score": 2, "amount": "1.10"})
    assert await run.output() == {"score": 3.0, "claim": {"risk_score": 2, "amount": "1.10", "flags": []}}
    execution = await run.execution()
    assert (execution.reasoner, execution.finish_reason) == ("assess", "STOP")


async def test_input_that_does_not_fit_fails_naming_the_field(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def assess(amount: float) -> None: ...

    run = await begin(await open_replica(Answers(), app), amount="a lot")
    assert await run.output() == {
        "type": "InvalidRequest",
        "message": "assess: amount: Input should be a valid number, unable to parse string as a number",
    }


# --- ai -----------------------------------------------------------------------------------------------------


async def test_the_model_answers_with_an_instance_or_with_text(open_replica: OpenReplica) -> None:
    app = Agent(AGENT, model="openai/a-model")
    model = Answers(lambda question: "Just text." if question == "text" else {"risk_score": 4, "amount": "10.50"})

    @app.reasoner()
    async def assess() -> list[Any]:
        text = await app.ai(user="text")
        value = await app.ai(system="You assess.", user="value", schema=Assessment, model="openai/another")
        assert isinstance(value, Assessment)
        return [text, value.risk_score, str(value.amount)]

    run = await begin(await open_replica(model, app))
    assert await run.output() == ["Just text.", 4, "10.50"]
    first, second = model.requests
    assert (first.model, list(first.messages)) == ("openai/a-model", [{"role": "user", "content": "text"}])
    assert second.model == "openai/another"
    assert second.messages[0] == {"role": "system", "content": "You assess."}
    assert second.response_format is not None
    assert second.response_format["json_schema"]["name"] == "Assessment"
    journal = await run.journal()
    assert [(step.kind, step.name, step.call_id, step.position) for step in journal] == [
        ("model", "ai", "#1", 0),
        ("model", "ai", "#2", 1),
    ]
    assert json.loads(journal[0].result or "") == {"value": "Just text.", "usage": {"total_tokens": 7}, "model": "test"}


@pytest.mark.parametrize("second", ["no JSON either", {"risk_score": 1, "amount": "1"}])
async def test_an_answer_that_does_not_fit_is_asked_again_once(open_replica: OpenReplica, second: Any) -> None:
    app = Agent(AGENT)
    model = Answers(lambda question: {"risk_score": "high"} if question == "Assess." else second)

    @app.reasoner()
    async def assess() -> str:
        try:
            value: Assessment = await app.ai(user="Assess.", schema=Assessment)
        except ValueError:
            return "no answer"
        return f"risk {value.risk_score}"

    run = await begin(await open_replica(model, app))
    assert await run.output() == ("risk 1" if isinstance(second, dict) else "no answer")
    assert len(model.asked) == 2
    assert "risk_score" in model.asked[1]
    assert len(await run.journal()) == 1


async def test_what_the_model_refuses_is_raised_to_the_code_and_recorded(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def assess() -> str:
        try:
            return str(await app.ai(user="x"))
        except ModelRefused as refused:
            return f"refused: {refused.message}"

    run = await begin(await open_replica(Answers(ModelRefused("openai: 400 too long")), app))
    assert await run.output() == "refused: openai: 400 too long"
    assert (await run.step(0)).status == "failed"


# --- steps --------------------------------------------------------------------------------------------------


async def test_steps_run_beside_the_loop_or_on_it_and_give_json(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    loop_thread = threading.get_ident()

    @dataclass
    class Review:
        review_id: str
        size: Decimal

    @app.step
    def plain(n: int) -> Review:
        assert threading.get_ident() != loop_thread
        return Review(f"rev-{n}", Decimal("1.5"))

    @app.step(name="renamed")
    async def coroutine(n: int, *, more: str = "m") -> list[Any]:
        assert threading.get_ident() == loop_thread
        return [n, more]

    @app.reasoner()
    async def review() -> list[Any]:
        return [await plain(1), await coroutine(2), await coroutine(n=3, more="x")]

    run = await begin(await open_replica(Answers(), app))
    assert await run.output() == [{"review_id": "rev-1", "size": "1.5"}, [2, "m"], [3, "x"]]
    assert [(step.name, json.loads(step.arguments)) for step in await run.journal()] == [
        ("plain", {"n": 1}),
        ("renamed", {"n": 2, "more": "m"}),
        ("renamed", {"n": 3, "more": "x"}),
    ]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("no such claim"), "ValueError: no such claim"),
        (SystemExit(3), "RuntimeError: the function tried to end the process"),
        (asyncio.CancelledError(), "RuntimeError: the function cancelled itself"),
        (OSError("/tmp/\udcff"), "OSError: /tmp/\\udcff"),
    ],
)
async def test_what_a_step_raises_is_recorded(open_replica: OpenReplica, raised: BaseException, said: str) -> None:
    app = Agent(AGENT)

    @app.step
    async def fails() -> None:
        raise raised

    @app.reasoner()
    async def review() -> str:
        try:
            await fails()
        except StepFailed as failed:
            return f"{failed.details['type']}: {failed.details['message']} / {failed}"
        return "went on"

    run = await begin(await open_replica(Answers(), app))
    output = await run.output()
    assert output.startswith(said)
    assert "/ fails: " in output
    assert (await run.step(0)).status == "failed"


@pytest.mark.parametrize("value", [object(), float("nan"), 2**60, "a\ud800", {("a", "b"): object()}])
async def test_a_step_whose_result_has_no_json_form_has_failed(open_replica: OpenReplica, value: Any) -> None:
    app = Agent(AGENT)
    ran = []

    @app.step
    async def gives() -> Any:
        ran.append(1)
        return value

    @app.reasoner()
    async def review() -> str:
        try:
            await gives()
        except StepFailed as failed:
            return str(failed.details["type"])
        return "went on"

    run = await begin(await open_replica(Answers(), app))
    assert await run.output() in {"InvalidRequest", "InvalidJson"}
    assert ran == [1]


async def test_a_step_within_a_step_is_a_part_of_it(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.step
    async def inner(n: int) -> int:
        app.note(f"inner {n}")
        return n + 1

    @app.step
    async def outer(n: int) -> int:
        return 10 * await inner(n)

    @app.reasoner()
    async def review() -> int:
        return int(await outer(1))

    run = await begin(await open_replica(Answers(), app))
    assert await run.output() == 20
    assert [step.name for step in await run.journal()] == ["outer"]
    assert await notes(run) == ["inner 1"]


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda app: app.ai(user="x"), "ai()"),
        (lambda app: app.pause(), "pause()"),
        (lambda app: app.wait_for_resume(approval_request_id="x"), "wait_for_resume()"),
        (lambda app: app.call("a.b"), "call()"),
    ],
)
async def test_nothing_durable_can_be_asked_within_a_step(open_replica: OpenReplica, ask: Any, what: str) -> None:
    app = Agent(AGENT)

    @app.step
    async def asks() -> None:
        await ask(app)

    @app.reasoner()
    async def review() -> None:
        await asks()

    run = await begin(await open_replica(Answers(), app))
    failed = await run.output()
    assert failed["message"].startswith(f"asks: OutsideReasoner: {what} inside a step")
    assert len(await run.journal()) == 1


# --- notes --------------------------------------------------------------------------------------------------


async def test_notes_are_written_with_the_next_record_in_order(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.step
    def plain() -> None:
        app.note("in a thread")

    @app.reasoner()
    async def review() -> None:
        app.note("first", tags=["a", "b"])
        app.note("half a pair: \ud800")
        await plain()
        app.note("last")

    run = await begin(await open_replica(Answers(), app))
    await run.ends()
    assert await notes(run) == ["first", "half a pair: \\ud800", "in a thread", "last"]
    noted = next(event for event in await run.events() if event.type == "execution.noted")
    assert json.loads(noted.data) == {"message": "first", "tags": ["a", "b"]}
    types = [kind for kind in await run.types() if kind != "execution.noted"]
    assert types == ["execution.queued", "execution.claimed", "execution.succeeded"]


# --- its end ------------------------------------------------------------------------------------------------


async def exits() -> None:
    raise SystemExit(3)


async def cancels_itself() -> None:
    raise asyncio.CancelledError


async def gives_an_object() -> Any:
    return object()


async def gives_too_much() -> int:
    return 2**60


async def fails_mutely() -> None:
    raise KeyError


async def fails_with_half_a_pair() -> None:
    raise OSError("\udcff\0")


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (exits, "SystemExit", "3"),
        (cancels_itself, "CancelledError", "the reasoner cancelled itself"),
        (gives_an_object, "InvalidRequest", "the result has no JSON form"),
        (gives_too_much, "InvalidJson", "the result is an integer beyond"),
        (fails_mutely, "KeyError", ""),
        (fails_with_half_a_pair, "OSError", "\\udcff"),
    ],
)
async def test_a_reasoner_that_fails_is_not_tried_again(
    open_replica: OpenReplica, function: Any, kind: str, message: str
) -> None:
    app = Agent(AGENT)
    app.reasoner(function)
    run = await begin(await open_replica(Answers(), app))
    error = await run.output()
    assert error["type"] == kind
    assert error["message"].startswith(message)
    execution = await run.execution()
    assert (execution.status, execution.finish_reason, execution.attempts) == ("failed", "ERROR", 1)
    assert (await run.types()).count("execution.claimed") == 1


async def test_what_it_began_and_did_not_await_can_do_nothing_after_its_end(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    ended = asyncio.Event()
    left: list[asyncio.Task[Any]] = []

    async def later() -> None:
        await ended.wait()
        await app.pause()

    @app.reasoner()
    async def review() -> str:
        left.append(asyncio.create_task(later()))
        return "done"

    run = await begin(await open_replica(Answers(), app))
    assert await run.output() == "done"
    ended.set()
    with pytest.raises(Exception, match="the reasoner has ended"):
        await left[0]
    assert await run.journal() == []


async def test_it_can_be_started_by_a_prompt(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def decide(ticket: str, model: str | None = None) -> str:
        return ticket

    run = await Run.begun(await open_replica(Answers(), app), AGENT, "Billed twice")
    assert await run.output() == "Billed twice"
