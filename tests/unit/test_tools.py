"""Tools: schemas from hints, what is shown is what comes back for the call, gates that fail closed, bad definitions."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from agent_runtime.core.policy import Approval
from agent_runtime.errors import InvalidDefinition, InvalidRequest
from agent_runtime.tools import Tool, as_tools, json_value, tool


class Size(Enum):
    small = "s"
    large = "l"


class Line(BaseModel):
    sku: str
    quantity: int = 1
    unit_price: Decimal = Field(alias="unitPrice", default=Decimal("1.50"))


@dataclass
class Point:
    x: int
    y: int = 0


@tool
def refund(
    order: str, amount: float, currency: Literal["EUR", "USD"] = "EUR", note: str | None = None
) -> dict[str, Any]:
    """Pay money back.

    Use it once an order.
    """
    return {"order": order, "amount": amount, "currency": currency, "note": note}


# --- schemas ------------------------------------------------------------------------------------------------


def test_the_schema_comes_from_the_hints() -> None:
    assert refund.name == "refund"
    assert refund.description == "Pay money back.\n\nUse it once an order."
    assert refund.schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["order", "amount"],
        "properties": {
            "order": {"type": "string"},
            "amount": {"type": "number"},
            "currency": {"enum": ["EUR", "USD"], "type": "string", "default": "EUR"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    }


def test_constraints_and_descriptions_are_in_it() -> None:
    @tool
    def scale(replicas: Annotated[int, Field(ge=0, le=20, description="how many")], title: str = Field("web")) -> None:
        pass

    assert scale.schema["properties"] == {
        "replicas": {"type": "integer", "minimum": 0, "maximum": 20, "description": "how many"},
        "title": {"type": "string", "default": "web"},
    }
    with pytest.raises(InvalidRequest, match=r"^scale: replicas: Input should be less than or equal to 20$"):
        scale.validate({"replicas": 21})


def test_a_function_without_arguments_has_an_empty_object() -> None:
    ping = Tool(lambda: "pong", name="ping")
    assert ping.schema == {"type": "object", "additionalProperties": False, "properties": {}}
    assert ping.validate({}) == {}
    assert ping.description == ""


def test_a_parameter_may_be_called_anything() -> None:
    @tool
    def odd(
        schema: int, copy: str, model_config: int = 1, json: str = "j", _private: int = 2, validate: int = 3
    ) -> None:
        pass

    given = {"schema": 7, "copy": "c", "_private": 9}
    filled = {"schema": 7, "copy": "c", "model_config": 1, "json": "j", "_private": 9, "validate": 3}
    assert odd.validate(given) == filled
    assert odd.call_arguments(filled) == filled
    assert set(odd.schema["properties"]) == set(filled)


def test_the_idempotency_key_is_hidden_from_the_model() -> None:
    @tool(effect="keyed")
    def charge(amount: int, idempotency_key: str) -> None:
        pass

    assert set(charge.schema["properties"]) == {"amount"}
    assert charge.validate({"amount": 1}) == {"amount": 1}
    with pytest.raises(InvalidRequest, match="idempotency_key"):
        charge.validate({"amount": 1, "idempotency_key": "mine"})


# --- arguments ----------------------------------------------------------------------------------------------


def test_defaults_are_filled_in_so_that_they_are_shown() -> None:
    filled = refund.validate({"order": "ORD-8821", "amount": 3})
    assert filled == {"order": "ORD-8821", "amount": 3.0, "currency": "EUR", "note": None}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "order: Field required; amount: Field required"),
        ({"order": "a", "amount": "much"}, "amount: Input should be a valid number"),
        ({"order": 1, "amount": 1}, "order: Input should be a valid string"),
        ({"order": "a", "amount": 1, "to": "me"}, "to: Extra inputs are not permitted"),
        ({"order": "a", "amount": 1, "currency": "GBP"}, "currency: Input should be 'EUR' or 'USD'"),
        ({"order": "a", "amount": float("nan")}, "refund.amount is not a finite number"),
        ({"order": "a", "amount": float("inf")}, "refund.amount is not a finite number"),
        ({"order": "a\ud800", "amount": 1}, "order"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^refund") as refused:
        refund.validate(given)
    assert named in refused.value.message
    assert "pydantic" not in refused.value.message


def test_integers_that_json_readers_round_are_refused() -> None:
    @tool
    def pay(account: int, tags: dict[str, int]) -> None:
        pass

    with pytest.raises(InvalidRequest, match="pass it as a string"):
        pay.validate({"account": 2**53, "tags": {}})
    with pytest.raises(InvalidRequest, match=r"pay\.tags\.a .*pass it as a string"):
        pay.validate({"account": 1, "tags": {"a": -(2**60)}})


def test_typed_values_come_back_for_the_call_as_they_were_shown() -> None:
    seen: list[Any] = []

    @tool
    def order(
        at: datetime, price: Decimal, id: UUID, size: Size, lines: list[Line], tags: set[str], point: Point, raw: bytes
    ) -> None:
        seen.extend([at, price, id, size, lines, tags, point, raw])

    given = {
        "at": "2026-11-20T10:00:00Z",
        "price": "12.50",
        "id": "00000000-0000-0000-0000-000000000001",
        "size": "l",
        "lines": [{"sku": "A"}, {"sku": "B", "quantity": 2, "unitPrice": "3"}],
        "tags": ["x"],
        "point": {"x": 1},
        "raw": "abc",
    }
    shown = order.validate(given)
    assert shown["lines"][0] == {"sku": "A", "quantity": 1, "unitPrice": "1.50"}
    assert shown["point"] == {"x": 1, "y": 0}
    stored = json.loads(json.dumps(shown))
    order(**order.call_arguments(stored))
    assert seen == [
        datetime(2026, 11, 20, 10, tzinfo=UTC),
        Decimal("12.50"),
        UUID(int=1),
        Size.large,
        [Line(sku="A"), Line(sku="B", quantity=2, unitPrice=Decimal(3))],
        {"x"},
        Point(1),
        b"abc",
    ]


def test_a_type_that_json_would_mask_is_refused_and_never_run_masked() -> None:
    @tool
    def login(password: SecretStr) -> None:
        pass

    with pytest.raises(InvalidRequest, match="do not come back the same"):
        login.validate({"password": "hunter2"})


def test_none_as_a_default_means_optional() -> None:
    @tool
    def find(limit: int = None) -> None:  # type: ignore[assignment] # noqa: RUF013 - a habit of many
        pass

    assert find.validate({}) == {"limit": None}
    assert find.call_arguments({"limit": None}) == {"limit": None}


def test_a_mutable_default_is_not_shared() -> None:
    @tool
    def collect(items: list[int] = []) -> None:  # noqa: B006 - what is tested
        pass

    collect.call_arguments({})["items"].append(1)
    assert collect.validate({}) == {"items": []}


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e6, 1e6) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), _json, max_size=3), st.lists(st.integers(-100, 100)), st.text() | st.none())
def test_what_was_validated_validates_to_itself(data: dict[str, Any], numbers: list[int], text: str | None) -> None:
    shown = SINK.validate({"data": data, "numbers": numbers, "text": text})
    stored = json.loads(json.dumps(shown))
    assert SINK.validate(stored) == shown
    assert SINK.call_arguments(stored) == {"data": data, "numbers": numbers, "text": text, "more": 1.5}


def _sink(data: dict[str, Any], numbers: list[int], text: str | None, more: float = 1.5) -> None: ...


SINK = Tool(_sink, name="sink")


# --- it stays callable --------------------------------------------------------------------------------------


async def test_the_decorated_function_stays_callable() -> None:
    assert refund("a", 1) == {"order": "a", "amount": 1, "currency": "EUR", "note": None}
    assert refund.__doc__
    assert refund.__name__ == "refund"
    assert list(inspect.signature(refund).parameters) == ["order", "amount", "currency", "note"]

    @tool(name="say-hello")
    async def hello(name: str) -> str:
        return f"Hello {name}"

    assert await hello("Alex") == "Hello Alex"
    assert hello.name == "say-hello"


def test_a_bound_method_may_be_one() -> None:
    class Shop:
        def __init__(self) -> None:
            self.refunded: list[str] = []

        def refund(self, order: str) -> None:
            """Pay back."""
            self.refunded.append(order)

    shop = Shop()
    [plain] = as_tools([shop.refund])
    gated = tool(approval_required=True)(shop.refund)
    assert (plain.gated, gated.gated, plain.name) == (False, True, "refund")
    gated("ORD-8821")
    assert shop.refunded == ["ORD-8821"]
    assert set(gated.schema["properties"]) == {"order"}


# --- gates --------------------------------------------------------------------------------------------------


def over_100(order: str, amount: float, **_: Any) -> bool:
    return amount > 100


def broken(order: str, amount: float, **_: Any) -> bool:
    raise RuntimeError("the policy service is away")


ASKED = Approval(quorum=2)


@pytest.mark.parametrize(
    ("options", "small", "large"),
    [
        ({}, None, None),
        ({"approval_required": False}, None, None),
        ({"approval_required": True}, Approval(), Approval()),
        ({"approval": ASKED}, ASKED, ASKED),
        ({"approval_required": False, "approval": ASKED}, ASKED, ASKED),
        ({"approval_required": True, "approval": ASKED}, ASKED, ASKED),
        ({"approval_required": over_100}, None, Approval()),
        ({"approval_required": over_100, "approval": ASKED}, None, ASKED),
        ({"approval_required": broken}, Approval(), Approval()),
        ({"approval_required": broken, "approval": ASKED}, ASKED, ASKED),
    ],
)
def test_what_a_tool_asks_for(options: dict[str, Any], small: Approval | None, large: Approval | None) -> None:
    gated = Tool(refund.function, **options)
    assert gated.gate(gated.validate({"order": "a", "amount": 1})) == small
    assert gated.gate(gated.validate({"order": "a", "amount": 101})) == large


def test_a_predicate_gets_typed_arguments() -> None:
    seen: list[Any] = []

    def late(at: datetime) -> bool:
        seen.append(at)
        return at.hour >= 18

    @tool(approval_required=late)
    def deploy(at: datetime) -> None:
        pass

    assert deploy.gate({"at": "2026-11-20T17:59:00Z"}) is None
    assert deploy.gate({"at": "2026-11-20T18:00:00Z"}) == Approval()
    assert seen[0] == datetime(2026, 11, 20, 17, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "effect"),
    [
        ({}, "idempotent"),
        ({"approval_required": True}, "unsafe"),
        ({"approval": ASKED}, "unsafe"),
        ({"approval_required": over_100}, "unsafe"),
        ({"approval_required": True, "effect": "idempotent"}, "idempotent"),
        ({"effect": "unsafe"}, "unsafe"),
        ({"effect": "keyed"}, "keyed"),
        ({"effect": "checkable", "lookup": lambda order, amount, currency, note: None}, "checkable"),
        ({"effect": "checkable", "lookup": lambda idempotency_key, **arguments: None}, "checkable"),
    ],
)
def test_a_gated_tool_is_unsafe_unless_declared_otherwise(options: dict[str, Any], effect: str) -> None:
    assert Tool(refund.function, **options).effect == effect


def test_a_free_tool_that_a_checkpoint_gates_is_unsafe_too() -> None:
    assert (refund.effect, refund.effect_when(gated=True)) == ("idempotent", "unsafe")
    declared = Tool(refund.function, effect="idempotent")
    assert declared.effect_when(gated=True) == "idempotent"


# --- versions -----------------------------------------------------------------------------------------------


def test_the_version_follows_name_schema_and_the_declared_one() -> None:
    def base(order: str) -> None: ...
    def other_body(order: str) -> None:
        """Another docstring."""

    def other_type(order: int) -> None: ...
    def other_default(order: str = "x") -> None: ...

    version = Tool(base, name="t").version
    assert Tool(other_body, name="t").version == version
    assert Tool(base, name="t", approval_required=True).version == version
    changed = [
        Tool(other_type, name="t"),
        Tool(other_default, name="t"),
        Tool(base, name="u"),
        Tool(base, name="t", version="2"),
    ]
    assert len({version, *(one.version for one in changed)}) == 5


# --- bad definitions ----------------------------------------------------------------------------------------


def positional_only(a: int, /) -> None: ...
def variadic(*orders: str) -> None: ...
def keywords(**orders: str) -> None: ...
def unresolved(order: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821
def not_json(callback: Callable[[int], int]) -> None: ...
def unknown_class(order: Unknown) -> None: ...
def method(self: Any, order: str) -> None: ...
def bad_default(amount: int = "much") -> None: ...  # type: ignore[assignment]
def fine(order: str) -> None: ...
async def async_predicate(order: str) -> bool:
    return True


class Unknown:
    pass


@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (positional_only, {}, "'a' must be one that can be given by name"),
        (variadic, {}, "'orders'"),
        (keywords, {}, "'orders'"),
        (unresolved, {}, "Nowhere"),
        (not_json, {}, "not_json"),
        (unknown_class, {}, "Unknown"),
        (method, {}, "bound"),
        (bad_default, {}, "default of 'amount'"),
        (fine, {"name": "has space"}, "has space"),
        (fine, {"name": "1st"}, "1st"),
        (fine, {"name": "größe"}, "größe"),
        (fine, {"name": "x" * 65}, "at most 64"),
        (lambda: None, {}, "<lambda>"),
        ("refund", {"name": "x"}, "x"),
        (fine, {"effect": "safe"}, "effect 'safe'"),
        (fine, {"effect": "checkable"}, "lookup"),
        (fine, {"lookup": fine}, "lookup"),
        (fine, {"effect": "keyed", "lookup": fine}, "lookup"),
        (fine, {"effect": "checkable", "lookup": lambda: None}, "lookup"),
        (fine, {"approval_required": "yes"}, "approval_required"),
        (fine, {"approval_required": None}, "approval_required"),
        (fine, {"approval_required": 0}, "approval_required"),
        (fine, {"approval_required": lambda amount: True}, "approval_required"),
        (fine, {"approval_required": async_predicate}, "approval_required"),
        (fine, {"timeout_seconds": 0}, "timeout_seconds"),
        (fine, {"timeout_seconds": float("nan")}, "timeout_seconds"),
        (fine, {"timeout_seconds": "5"}, "timeout_seconds"),
        (fine, {"max_calls": -1}, "max_calls"),
        (fine, {"max_calls": True}, "max_calls"),
    ],
)
def test_a_bad_definition_is_refused_with_the_reason(function: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        Tool(function, **options)
    assert reason in refused.value.message


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidDefinition, match="refund"):
        as_tools([refund, Tool(fine, name="refund")])


# --- results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "as_json"),
    [
        (None, None),
        ({"at": datetime(2026, 11, 20, tzinfo=UTC)}, {"at": "2026-11-20T00:00:00Z"}),
        (Line(sku="A", quantity=2), {"sku": "A", "quantity": 2, "unitPrice": "1.50"}),
        (Point(1), {"x": 1, "y": 0}),
        ((1, {2}), [1, [2]]),
        (Size.small, "s"),
    ],
)
def test_results_in_json(value: Any, as_json: Any) -> None:
    assert json_value(value) == as_json


def test_results_that_have_no_json_form() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (object(), circle, b"\xff"):
        with pytest.raises(InvalidRequest, match="no JSON form"):
            json_value(value)
