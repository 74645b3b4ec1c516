"""`refund_agent`: look up the orders and the customer at once, propose each refund, then say how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.scripted_model.conversation import Conversation, Exchange
from bot.scripted_model.reply import Call, Calls, Reply, Text
from bot.scripted_model.scripts.amounts import asked_amount
from bot.scripted_model.scripts.script import MAX_PROPOSALS, Script, earlier_answer, facts_of, looks_back, not_run

_ORDER = re.compile(r"\bORD-\w+", re.IGNORECASE)
_CUSTOMER = re.compile(r"\bcust_\w+", re.IGNORECASE)


def reply(conversation: Conversation) -> Reply:
    """The next turn of a refund."""
    orders = list(dict.fromkeys(match.upper() for match in _ORDER.findall(conversation.prompt)))
    if looks_back(conversation, orders):
        return earlier_answer(conversation, "process_refund", _named)
    if not orders:
        return Text("Which order should be refunded? Please give me its number, such as ORD-8821.")
    lookups = _lookups(conversation, orders)
    if lookups:
        return Calls(tuple(lookups))
    steps = [_next_step(conversation, order) for order in orders]
    proposals = tuple(step for step in steps if isinstance(step, Call))
    if proposals:
        return Calls(proposals)
    return Text("\n".join(step for step in steps if isinstance(step, str)), facts=_facts(conversation))


def _lookups(conversation: Conversation, orders: list[str]) -> list[Call]:
    """The look-ups that have not been made yet."""
    wanted = [Call("get_order", {"order_id": order}) for order in orders]
    customers = dict.fromkeys(match.lower() for match in _CUSTOMER.findall(conversation.prompt))
    wanted += [Call("get_customer", {"customer_id": customer}) for customer in customers]
    return [call for call in wanted if not conversation.calls_of(call.name, **_arguments(call))]


def _arguments(call: Call) -> Mapping[str, Any]:
    return call.arguments if isinstance(call.arguments, Mapping) else {}


def _next_step(conversation: Conversation, order: str) -> Call | str:
    """For one order: the refund to propose, or the sentence that ends it."""
    found = conversation.calls_of("get_order", order_id=order)[-1].outcome
    price = _amount(found.value.get("amount")) if isinstance(found.value, dict) else None
    if found.ending != "value":
        return f"I could not look up order {order}: {found.words or found.ending}. Nothing was refunded."
    if price is None:
        return f"Order {order} shows no amount, so I don't know what to refund. Nothing was refunded."
    proposals = conversation.calls_of("process_refund", order_id=order)
    if not proposals:
        wanted = asked_amount(conversation.prompt, price, marked=True)
        return _proposal(order, wanted or price)
    return _after(proposals, order, price, conversation)


def _after(proposals: list[Exchange], order: str, price: Decimal, conversation: Conversation) -> Call | str:
    """What follows the latest proposal of a refund."""
    latest = proposals[-1]
    amount = _amount((latest.outcome.ran_with or latest.arguments).get("amount")) or price
    what = f"The refund of ${amount:.2f} for order {order}"
    if latest.outcome.ending == "value":
        edited = " The reviewer changed the amount before it ran." if latest.outcome.ran_with else ""
        return f"Done: ${amount:.2f} was refunded{_to_whom(conversation)} for order {order}.{edited}"
    if latest.outcome.ending != "changes requested":
        return not_run(what, latest.outcome)
    wanted = asked_amount(latest.outcome.words, price, instead_of=amount)
    if wanted is not None and len(proposals) < MAX_PROPOSALS:
        return _proposal(order, wanted)
    words = f": “{latest.outcome.words}”" if latest.outcome.words else ""
    return (
        f"{what} was not made. The reviewer asked for changes{words}. "
        f"All I can change is the amount, up to ${price:.2f}: tell me the amount and I will propose it."
    )


def _proposal(order: str, amount: Decimal) -> Call:
    return Call("process_refund", {"order_id": order, "amount": float(amount)})


def _to_whom(conversation: Conversation) -> str:
    for exchange in conversation.calls_of("get_customer"):
        if isinstance(exchange.outcome.value, dict) and exchange.outcome.value.get("name"):
            return f" to {exchange.outcome.value['name']}"
    return ""


def _amount(value: Any) -> Decimal | None:
    try:
        return None if value is None or isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        return None


def _facts(conversation: Conversation) -> dict[str, Any]:
    """What the answer is about, for structured output."""
    refunds = conversation.calls_of("process_refund")
    made = bool(refunds) and refunds[-1].outcome.ending == "value"
    return facts_of(conversation.exchanges) | {"refunded": made}


def _named(refund: Exchange) -> str:
    amount = _amount((refund.outcome.ran_with or refund.arguments).get("amount")) or Decimal(0)
    return f"a refund of ${amount:.2f} for order {refund.arguments.get('order_id')}"


SCRIPT = Script("refund_agent", frozenset({"get_order", "get_customer", "process_refund"}), reply)
