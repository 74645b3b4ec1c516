"""The sample agents' scripts, played through the real client: every branch of a refund and of a rollout."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from bot.scripted_model import serve_scripted_model
from bot.scripted_model.conversation import read_outcome
from bot.scripted_model.scripts.amounts import asked_amount

REFUND_TOOLS = ("get_order", "get_customer", "process_refund")
ROLLOUT_TOOLS = ("get_rollout_context", "execute_rollout")
PROMPT = "Customer Alex (cust_001) wants a refund on order ORD-8821"
ORDER = {"order_id": "ORD-8821", "amount": 29.99, "status": "delivered"}
CUSTOMER = {"customer_id": "cust_001", "name": "Alex", "email": "alex@example.com"}
CONTEXT = {"service": "checkout-api", "risk": "medium", "blast_radius": "10% canary"}


class Play:
    """One conversation: what the model says, and tool messages in answer to its calls."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self.client = client
        self.tools: tuple[str, ...] = REFUND_TOOLS
        self.messages: list[Any] = [{"role": "system", "content": "You handle refund requests."}]
        self.calls: list[Any] = []

    async def say(self, text: str, **options: Any) -> str | None:
        self.messages.append({"role": "user", "content": text})
        return await self.turn(**options)

    async def turn(self, **options: Any) -> str | None:
        """The model's next reply: its words, or None where it calls tools."""
        tools: Any = [{"type": "function", "function": {"name": name}} for name in self.tools]
        answer = await self.client.chat.completions.create(model="m", messages=self.messages, tools=tools, **options)
        message = answer.choices[0].message
        self.calls = list(message.tool_calls or [])
        self.messages.append(message.model_dump(exclude_none=True))
        return message.content

    @property
    def called(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(call.function.name, json.loads(call.function.arguments)) for call in self.calls]

    async def results(self, *contents: Any, **options: Any) -> str | None:
        """Answer the calls in order, a text as it is, anything else as JSON; then the model's next reply."""
        for call, content in zip(self.calls, contents, strict=True):
            text = content if isinstance(content, str) else json.dumps(content)
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
        return await self.turn(**options)


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    async with (
        serve_scripted_model() as model,
        AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0) as client,
    ):
        yield Play(client)


async def proposed(play: Play, prompt: str = PROMPT) -> Play:
    assert await play.say(prompt) is None
    await play.results(ORDER, CUSTOMER)
    return play


async def test_a_refund_looks_up_both_at_once_then_proposes_the_amount_of_the_order(play: Play) -> None:
    assert await play.say(PROMPT) is None
    assert play.called == [("get_order", {"order_id": "ORD-8821"}), ("get_customer", {"customer_id": "cust_001"})]
    assert await play.results(ORDER, CUSTOMER) is None
    assert play.called == [("process_refund", {"order_id": "ORD-8821", "amount": 29.99})]
    answer = await play.results({"refunded": True, "order_id": "ORD-8821", "amount": 29.99})
    assert answer == "Done: $29.99 was refunded to Alex for order ORD-8821."


async def test_one_call_at_a_time_reaches_the_same_proposal(play: Play) -> None:
    await play.say(PROMPT, parallel_tool_calls=False)
    assert play.called == [("get_order", {"order_id": "ORD-8821"})]
    await play.results(ORDER, parallel_tool_calls=False)
    assert play.called == [("get_customer", {"customer_id": "cust_001"})]
    await play.results(CUSTOMER, parallel_tool_calls=False)
    assert play.called == [("process_refund", {"order_id": "ORD-8821", "amount": 29.99})]


@pytest.mark.parametrize(
    "content",
    [
        'rejected by the reviewer: "Alex was refunded \\"yesterday\\", see ledger". The call did not run.',
        "Rejected. Alex was refunded: Alex was refunded \"yesterday\", see ledger",
    ],
)  # fmt: skip
async def test_a_rejection_is_taken_up_and_not_tried_again(play: Play, content: str) -> None:
    answer = await (await proposed(play)).results(content.replace('\\"', '"'))
    assert play.calls == []
    assert answer is not None
    assert "was rejected" in answer
    assert "won't try again" in answer
    assert "yesterday" in answer


async def test_a_rejection_without_a_reason(play: Play) -> None:
    answer = await (await proposed(play)).results("rejected by the reviewer. The call did not run.")
    assert answer is not None
    assert answer.endswith("The reviewer gave no reason.")


@pytest.mark.parametrize(
    ("words", "amount"),
    [
        ("only 10.00", 10),
        ("refund 15 instead", 15),
        ("not 29.99 but $12.50, please.", 12.5),
        ("half of it", 15.0),
        ("20%", 6.0),
    ],
)
async def test_requested_changes_are_taken_up(play: Play, words: str, amount: float) -> None:
    content = f'changes requested by the reviewer: "{words}". The call did not run; propose it again.'
    assert await (await proposed(play)).results(content) is None
    assert play.called == [("process_refund", {"order_id": "ORD-8821", "amount": amount})]
    answer = await play.results({"refunded": True, "order_id": "ORD-8821", "amount": amount})
    assert answer == f"Done: ${amount:.2f} was refunded to Alex for order ORD-8821."


@pytest.mark.parametrize("words", ["ask finance first", "at most 500", "10 or 15", ""])
async def test_changes_that_are_not_clear_are_explained(play: Play, words: str) -> None:
    answer = await (await proposed(play)).results(
        f'changes requested by the reviewer: "{words}". The call did not run.'
    )
    assert play.calls == []
    assert answer is not None
    assert "asked for changes" in answer
    assert words in answer


async def test_changes_are_not_proposed_for_ever(play: Play) -> None:
    await proposed(play)
    for amount in (10, 11):
        assert await play.results(f'changes requested by the reviewer: "only {amount}".') is None
    answer = await play.results('changes requested by the reviewer: "only 12".')
    assert answer is not None
    assert "asked for changes" in answer


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("expired. The call did not run.", "Nobody answered in time"),
        ("cancelled. The call did not run.", "was cancelled"),
        ("error: billing is away", "failed: “billing is away”"),
        ('{"error": "billing is away"}', "failed: “billing is away”"),
    ],
)
async def test_other_endings_are_told(play: Play, content: str, words: str) -> None:
    answer = await (await proposed(play)).results(content)
    assert play.calls == []
    assert answer is not None
    assert words in answer


async def test_an_edited_call_is_told_as_it_ran(play: Play) -> None:
    ran = {"order_id": "ORD-8821", "amount": 5}
    answer = await (await proposed(play)).results(
        {"result": {"refunded": True}, "note": "the approver edited the arguments", "arguments": ran}
    )
    assert answer == (
        "Done: $5.00 was refunded to Alex for order ORD-8821. The reviewer changed the amount before it ran."
    )


async def test_several_orders_are_proposed_together_and_told_apart(play: Play) -> None:
    await play.say("Refund ORD-1 and ord-2, please")
    assert [arguments["order_id"] for _, arguments in play.called] == ["ORD-1", "ORD-2"]
    await play.results({"order_id": "ORD-1", "amount": 10}, {"order_id": "ORD-2", "amount": 20})
    assert [arguments for _, arguments in play.called] == [
        {"order_id": "ORD-1", "amount": 10},
        {"order_id": "ORD-2", "amount": 20},
    ]
    assert await play.results('changes requested: "only 4"', 'rejected by the reviewer: "no"') is None
    assert play.called == [("process_refund", {"order_id": "ORD-1", "amount": 4})]
    answer = await play.results({"refunded": True})
    assert answer is not None
    assert "Done: $4.00" in answer
    assert "The refund of $20.00 for order ORD-2 was rejected" in answer


@pytest.mark.parametrize(
    ("prompt", "amount"), [("$10 of ORD-8821 for cust_001", 10), (PROMPT + ", 2 items of 3", 29.99)]
)
async def test_an_amount_of_money_in_the_prompt_is_heard(play: Play, prompt: str, amount: float) -> None:
    await proposed(play, prompt)
    assert play.called == [("process_refund", {"order_id": "ORD-8821", "amount": amount})]


async def test_a_failed_look_up_ends_it(play: Play) -> None:
    await play.say(PROMPT)
    answer = await play.results("error: no such order", CUSTOMER)
    assert answer == "I could not look up order ORD-8821: no such order. Nothing was refunded."


async def test_without_an_order_it_asks_for_one(play: Play) -> None:
    answer = await play.say("I want my money back")
    assert answer is not None
    assert "ORD-8821" in answer
    assert play.calls == []


@pytest.mark.parametrize("question", ["thanks!", "what did you do?", "Why was ORD-8821 refunded?", "ok"])
async def test_a_follow_up_is_answered_from_the_earlier_turns(play: Play, question: str) -> None:
    await (await proposed(play)).results({"refunded": True, "order_id": "ORD-8821", "amount": 29.99})
    answer = await play.say(question)
    assert play.calls == []
    assert answer is not None
    assert "a refund of $29.99 for order ORD-8821; it was approved and made" in answer
    assert answer.startswith("You're welcome") == (question == "thanks!")


async def test_a_follow_up_on_words_alone_repeats_them(play: Play) -> None:
    play.messages += [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": "Done: all refunded."}]
    assert await play.say("what happened?") == "As I said: Done: all refunded."


async def test_a_new_order_in_a_conversation_is_a_new_refund(play: Play) -> None:
    await (await proposed(play)).results('rejected by the reviewer: "no"')
    await play.say("Thanks. Now ORD-9000, please")
    assert play.called == [("get_order", {"order_id": "ORD-9000"})]
    assert await play.results({"order_id": "ORD-9000", "amount": 5}) is None
    assert play.called == [("process_refund", {"order_id": "ORD-9000", "amount": 5})]


async def test_the_answer_can_be_structured(play: Play) -> None:
    asked = {
        "type": "json_schema",
        "json_schema": {
            "name": "refund",
            "schema": {
                "type": "object",
                "properties": {
                    "order_id": {"type": "string"},
                    "amount": {"type": "number"},
                    "refunded": {"type": "boolean"},
                    "explanation": {"type": "string"},
                },
            },
        },
    }
    await play.say(PROMPT, response_format=asked)
    await play.results(ORDER, CUSTOMER, response_format=asked)
    answer = await play.results({"refunded": True, "order_id": "ORD-8821", "amount": 29.99}, response_format=asked)
    assert json.loads(answer or "") == {
        "order_id": "ORD-8821",
        "amount": 29.99,
        "refunded": True,
        "explanation": "Done: $29.99 was refunded to Alex for order ORD-8821.",
    }


async def rollout_proposed(play: Play) -> Play:
    play.tools = ROLLOUT_TOOLS
    assert await play.say("Review change CHG-901 and execute if safe.") is None
    assert play.called == [("get_rollout_context", {"change_id": "CHG-901"})]
    assert await play.results(CONTEXT) is None
    return play


async def test_a_rollout_is_reviewed_proposed_and_told(play: Play) -> None:
    await rollout_proposed(play)
    ((name, arguments),) = play.called
    assert name == "execute_rollout"
    assert arguments["change_id"] == "CHG-901"
    assert "10% canary" in arguments["rollout_plan"]
    assert "risk medium" in arguments["reason"]
    answer = await play.results({"status": "rolled_out", "change_id": "CHG-901"})
    assert answer is not None
    assert answer.startswith("Done: CHG-901 is rolled out to checkout-api.")


async def test_a_risky_change_is_not_proposed(play: Play) -> None:
    play.tools = ROLLOUT_TOOLS
    await play.say("Review change CHG-902 and execute if safe.")
    answer = await play.results({**CONTEXT, "risk": "high"})
    assert play.calls == []
    assert answer is not None
    assert "does not look safe" in answer


async def test_changes_to_a_rollout_are_taken_up(play: Play) -> None:
    await (await rollout_proposed(play)).results(
        'changes requested by the reviewer: "only 5% until 18:00". Propose again.'
    )
    ((_, arguments),) = play.called
    assert "5% canary" in arguments["rollout_plan"]
    assert arguments["rollout_plan"].endswith("As the reviewer asked: only 5% until 18:00")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('rejected by the reviewer: "freeze until Monday".', "freeze until Monday"),
        ('changes requested by the reviewer: "why 10%?".', "I proposed it because service checkout-api"),
        ("expired. The call did not run.", "Nobody answered in time"),
        ("error: deploy system away", "failed: “deploy system away”"),
    ],
)
async def test_other_endings_of_a_rollout(play: Play, content: str, words: str) -> None:
    answer = await (await rollout_proposed(play)).results(content)
    assert play.calls == []
    assert answer is not None
    assert words in answer
    follow_up = await play.say("what happened?")
    assert play.calls == []
    assert follow_up is not None
    assert "the rollout of CHG-901" in follow_up


async def test_where_no_script_matches_the_error_says_what_was_looked_for(play: Play) -> None:
    play.tools = ("get_order", "send_parcel")
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await play.say("hello")
    assert caught.value.code == "no_script"
    for words in ("get_order, send_parcel", "You handle refund requests.", "prod_change_demo: execute_rollout"):
        assert words in caught.value.message


async def test_an_agent_with_more_tools_is_still_known(play: Play) -> None:
    play.tools = ("send_parcel", *REFUND_TOOLS)
    await play.say(PROMPT)
    assert len(play.calls) == 2


@pytest.mark.parametrize(
    ("words", "amount"),
    [
        ("only 10.00", "10.00"), ("10", "10"), ("$7", "7"), ("make it €12.5", "12.5"), ("please refund 15.", "15"),
        ("half", "50.00"), ("25 percent", "25.00"), ("33.3%", "33.30"), ("1,000 is too much", None), ("nothing", None),
        ("0", None), ("99.99", None), ("100", "100"), ("at 18:00", None), ("on 2026-11-20", None), ("ORD-15", None),
        ("3 or 4", None), ("v1.2.3", None), ("-5", None), ("10 and 10.00", "10"),
    ],
)  # fmt: skip
def test_amounts_in_words(words: str, amount: str | None) -> None:
    found = asked_amount(words, Decimal(100), instead_of=Decimal("99.99"))
    assert found == (None if amount is None else Decimal(amount))


@given(st.text(max_size=40), st.decimals("0.01", 1000, places=2))
@settings(max_examples=200, deadline=None)
def test_no_words_ask_for_more_than_the_price(words: str, price: Decimal) -> None:
    found = asked_amount(words, price)
    assert found is None or 0 < found <= price


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_tool_message_has_an_outcome(content: str) -> None:
    assert read_outcome(content).ending in ("value", "error", "rejected", "changes requested", "expired", "cancelled")


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_reviewers_words_come_through_verbatim(words: str) -> None:
    outcome = read_outcome(f'rejected by the reviewer: "{words}". The call did not run.')
    assert (outcome.ending, outcome.words) == ("rejected", words)
