"""The scripted model speaks OpenAI's chat API to the real client: answers, streams, structured output, errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_type_hints

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import BaseModel

from bot.scripted_model import (
    Data,
    Failure,
    Later,
    Refusal,
    ScriptedModel,
    Text,
    calls,
    serve_scripted_model,
)
from bot.scripted_model.request import PARAMETERS

USER = [{"role": "user", "content": "hello"}]
GREET = {
    "type": "function",
    "function": {
        "name": "greet",
        "description": "",
        "parameters": {"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]},
    },
}
WAVE = {"type": "function", "function": {"name": "wave", "parameters": {"type": "object", "properties": {}}}}


@asynccontextmanager
async def served(replies: Any = None, **options: Any) -> AsyncIterator[tuple[ScriptedModel, AsyncOpenAI]]:
    async with serve_scripted_model(replies) as model:
        options = {"api_key": "any", "max_retries": 0, "timeout": 20} | options
        async with AsyncOpenAI(base_url=model.base_url, **options) as client:
            yield model, client


async def ask(client: AsyncOpenAI, messages: Any = None, **options: Any) -> Any:
    return await client.chat.completions.create(model="gpt-4o-mini", messages=messages or USER, **options)


async def test_words() -> None:
    async with served(["hello yourself"]) as (model, client):
        answer = await ask(client)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "gpt-4o-mini"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == "hello yourself"
    assert answer.choices[0].message.tool_calls is None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert model.messages == [USER]
    assert model.requests[0].model == "gpt-4o-mini"


async def test_parallel_tool_calls() -> None:
    async with served([calls(("greet", {"who": "Zoë"}), ("wave", {}), content="Let me see.")]) as (_, client):
        answer = await ask(client, tools=[GREET, WAVE])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content == "Let me see."
    assert [call.function.name for call in message.tool_calls] == ["greet", "wave"]
    assert message.tool_calls[0].function.arguments == '{"who":"Zoë"}'
    assert len({call.id for call in message.tool_calls}) == 2


async def test_a_handler_sees_the_messages_and_one_call_can_be_asked_at_a_time() -> None:
    def handler(messages: Any) -> Any:
        return calls(("greet", {"who": messages[-1]["content"]}), ("wave", {}))

    async with served(handler) as (_, client):
        answer = await ask(client, tools=[GREET, WAVE], parallel_tool_calls=False)
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"who": "hello"}


async def test_the_same_request_gets_the_same_ids_and_another_gets_others() -> None:
    def handler(messages: Any) -> Any:
        return calls(("wave", {}))

    async with served(handler) as (_, client):
        first, again, other = [
            await ask(client, [{"role": "user", "content": text}], tools=[WAVE]) for text in ("one", "one", "two")
        ]
        streamed = [
            chunk async for chunk in await ask(client, [{"role": "user", "content": "one"}], tools=[WAVE], stream=True)
        ]
    assert first.id == again.id == streamed[0].id != other.id
    ids = [answer.choices[0].message.tool_calls[0].id for answer in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert streamed[1].choices[0].delta.tool_calls[0].id == ids[0]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["greet", "wave"]),
        ("required", ["greet", "wave"]),
        ({"type": "function", "function": {"name": "wave"}}, ["wave"]),
        ("none", None),
    ],
)
async def test_tool_choice(choice: Any, names: list[str] | None) -> None:
    async with served([calls(("greet", {"who": "x"}), ("wave", {}))]) as (_, client):
        message = (await ask(client, tools=[GREET, WAVE], tool_choice=choice)).choices[0].message
    if names is None:
        assert message.tool_calls is None
        assert "greet and wave" in message.content
    else:
        assert [call.function.name for call in message.tool_calls] == names


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "greet"}}])
async def test_a_call_that_is_asked_for_but_not_scripted_is_no_answer(choice: Any) -> None:
    for reply in ("words", calls(("wave", {}))):
        if choice == "required" and reply != "words":
            continue
        async with served([reply]) as (_, client):
            with pytest.raises(openai.UnprocessableEntityError, match="tool_choice"):
                await ask(client, tools=[GREET, WAVE], tool_choice=choice)


async def test_words_stream_with_usage() -> None:
    text = "A long answer, größer than one piece, so that it comes in several. " * 3
    async with served([text]) as (_, client):
        stream = await ask(client, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(delta for delta in deltas if delta) == text
    assert len(deltas) > 5
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_tool_calls_stream_and_no_usage_is_sent_unasked() -> None:
    arguments = {"who": "everybody in a rather long list of people"}
    async with served([calls(("greet", arguments), ("wave", {}))]) as (_, client):
        chunks = [chunk async for chunk in await ask(client, tools=[GREET, WAVE], stream=True)]
    parts: dict[int, list[str]] = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            parts.setdefault(call.index, []).append(call.function.arguments or "")
    assert json.loads("".join(parts[0])) == arguments
    assert json.loads("".join(parts[1])) == {}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_clients_own_stream_helper_reads_it() -> None:
    async with served([calls(("greet", {"who": "you"}))]) as (_, client):
        manager = client.chat.completions.stream(model="gpt-4o-mini", messages=USER, tools=[GREET])  # type: ignore[arg-type]
        async with manager as stream:
            final = await stream.get_final_completion()
    assert final.choices[0].message.tool_calls is not None
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"who":"you"}'


class Line(BaseModel):
    sku: str
    count: int


class Report(BaseModel):
    summary: str
    amount: float
    refunded: bool
    risk: str | None
    lines: list[Line]


async def test_structured_output_fits_the_schema_and_holds_the_facts() -> None:
    reply = Text("All went well.", facts={"amount": 29.99, "refunded": True, "lines": "no list"})
    async with served([reply]) as (_, client):
        answer = await client.chat.completions.parse(model="m", messages=USER, response_format=Report)  # type: ignore[arg-type]
    report = answer.choices[0].message.parsed
    assert report == Report(summary="All went well.", amount=29.99, refunded=True, risk="All went well.", lines=[])


async def test_structured_output_that_a_test_writes_itself() -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    async with served([Data({"bad": True}), Data([1]), Refusal("I can't help with that.")]) as (_, client):
        first, second, third = [(await ask(client, response_format=asked)).choices[0].message for _ in range(3)]
    assert json.loads(first.content) == {"bad": True}
    assert json.loads(second.content) == [1]
    assert third.content is None
    assert third.refusal == "I can't help with that."


async def test_any_json_object() -> None:
    async with served(["fine", "fine"]) as (_, client):
        messages = [{"role": "user", "content": "answer in JSON"}]
        answer = await ask(client, messages, response_format={"type": "json_object"})
        assert json.loads(answer.choices[0].message.content) == {"result": "fine"}
        with pytest.raises(openai.BadRequestError, match='the word "json"'):
            await ask(client, response_format={"type": "json_object"})


def test_structured_answers_for_schemas_of_many_kinds() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from bot.scripted_model.structured import structured_answer

    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "fixed": {"const": 7},
            "least": {"type": "integer", "minimum": 3},
            "above": {"type": "number", "exclusiveMinimum": 0},
            "maybe": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/inner"}]},
            "either": {"type": ["null", "string"]},
            "some": {"type": "array", "items": {"$ref": "#/$defs/inner"}, "minItems": 2},
            "nothing": {"type": "null"},
        },
        "$defs": {"inner": {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}},
    }
    schema["required"] = list(schema["properties"])
    value = json.loads(structured_answer(schema, "words", {"any": "b", "least": 5, "kind": "c"}))
    jsonschema.validate(value, schema)
    assert value["kind"] == "b"
    assert value["least"] == 5

    endless: dict[str, Any] = {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    assert structured_answer(endless, "words", {}).startswith('{"next": {"next":')


CALL = {"id": "call_1", "type": "function", "function": {"name": "greet", "arguments": "{}"}}
ANSWER = {"role": "tool", "tool_call_id": "call_1", "content": "hi"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
OPEN_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def structured(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}}


@pytest.mark.parametrize(
    ("messages", "options", "param", "words"),
    [
        ([*USER, CALLING], {}, "messages", "call_1"),
        ([*USER, CALLING, *USER], {}, "messages", "left without a tool message: call_1"),
        ([*USER, {**CALLING, "tool_calls": [CALL, {**CALL, "id": "call_2"}]}, ANSWER], {}, "messages", "call_2"),
        ([*USER, ANSWER], {}, "messages[1].tool_call_id", "answers no call"),
        ([*USER, CALLING, ANSWER, ANSWER], {}, "messages[3].tool_call_id", "answers no call"),
        ([*USER, CALLING, ANSWER, *USER, ANSWER], {}, "messages[4].tool_call_id", "answers no call"),
        ([*USER, {**CALLING, "tool_calls": [CALL, CALL]}], {}, "messages[1].tool_calls[1].id", "its own"),
        ([*USER, {**CALLING, "tool_calls": [{**CALL, "function": {"name": "x", "arguments": {}}}]}], {},
         "messages[1].tool_calls[0].function", "JSON text"),
        ([*USER, {"role": "assistant", "content": None}], {}, "messages[1].content", "must be text"),
        ([*USER, {"role": "assistant", "content": "x", "tool_calls": []}], {},
         "messages[1].tool_calls", "at least one"),
        ([{"role": "robot", "content": "x"}], {}, "messages[0].role", "must be one of"),
        ([{"role": "user", "content": 5}], {}, "messages[0].content", "must be text"),
        (USER, {"tools": [{"type": "function", "function": {"name": "bad name"}}]},
         "tools[0].function.name", "must match"),
        (USER, {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"type": "array"}}}]},
         "tools[0].function.parameters", '"object"'),
        (USER, {"tools": [{"type": "function", "function": {"name": "x", "strict": True, "parameters": OPEN_SCHEMA}}]},
         "tools[0].function.parameters", "additionalProperties"),
        (USER, {"tool_choice": "auto"}, "tool_choice", "only allowed when tools"),
        (USER, {"tools": [GREET], "tool_choice": {"type": "function", "function": {"name": "none"}}},
         "tool_choice", "one of the tools"),
        (USER, {"stream_options": {"include_usage": True}}, "stream_options", "stream is enabled"),
        (USER, {"n": 2}, "n", "must be 1"),
        (USER, {"extra_body": {"temprature": 1}}, "temprature", "unrecognized"),
        (USER, structured(OPEN_SCHEMA), "response_format.json_schema.schema", "additionalProperties"),
        (USER, structured({**OPEN_SCHEMA, "additionalProperties": False, "required": []}),
         "response_format.json_schema.schema", "lacks a"),
        (USER, structured(
            {"type": "object", "properties": {"in": OPEN_SCHEMA}, "required": ["in"], "additionalProperties": False}),
         "response_format.json_schema.schema.properties.in", "additionalProperties"),
        (USER, structured({"type": "string"}), "response_format.json_schema.schema", "at its root"),
        (USER, {"response_format": {"type": "json_schema"}}, "response_format", "with a name"),
    ],
)  # fmt: skip
async def test_what_the_real_api_refuses_is_refused(messages: Any, options: Any, param: str, words: str) -> None:
    async with served(["never said"]) as (model, client):
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(client, messages, **options)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert words in caught.value.message
    assert model.requests == []


async def test_a_conversation_with_answered_calls_is_accepted() -> None:
    messages = [
        {"role": "system", "content": "be kind"},
        *USER,
        CALLING,
        ANSWER,
        {"role": "assistant", "content": "hi"},
        *USER,
    ]
    messages.append({"role": "user", "content": [{"type": "text", "text": "in parts"}]})
    async with served(["fine"]) as (_, client):
        assert (await ask(client, messages)).choices[0].message.content == "fine"


def test_every_parameter_of_the_client_is_known() -> None:
    assert get_type_hints(CompletionCreateParamsStreaming).keys() <= PARAMETERS


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}])
async def test_a_key_is_needed(headers: dict[str, str]) -> None:
    async with serve_scripted_model() as model, aiohttp.ClientSession(headers=headers) as session:
        for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
            async with session.request(method, model.url + path) as response:
                assert response.status == 401
                error = (await response.json())["error"]
                assert error["code"] == "invalid_api_key"
                assert error["type"] == "invalid_request_error"


async def test_what_is_no_request_gets_openais_error_shape() -> None:
    async with serve_scripted_model() as model, aiohttp.ClientSession(headers={"Authorization": "Bearer x"}) as session:
        for method, path, body, status in [
            ("POST", "/v1/chat/completions", b"{", 400),
            ("POST", "/v1/chat/completions", b"\xff", 400),
            ("POST", "/v1/chat/completions", b"[]", 400),
            ("POST", "/v1/chat/completions", b"{}", 400),
            ("POST", "/v1/chat/completions", b'{"model":"x","messages":[]}', 400),
            ("GET", "/v1/chat/completions", None, 405),
            ("POST", "/v1/responses", b"{}", 404),
        ]:
            async with session.request(method, model.url + path, data=body) as response:
                assert response.status == status
                assert (await response.json())["error"].keys() == {"message", "type", "param", "code"}


async def test_models_are_listed() -> None:
    async with served() as (_, client):
        listed = [model.id async for model in client.models.list()]
        assert listed == ["scripted"]
        assert (await client.models.retrieve("gpt-4o-mini")).id == "gpt-4o-mini"


async def test_failures_of_the_service() -> None:
    replies = [
        Failure(429, "slow down", headers={"Retry-After": "7"}),
        Failure(503),
        Failure(200, body="<html>not json"),
        Failure(None),
        Later(5, Text("too late")),
        Later(0.01, Text("at last")),
    ]
    async with served(replies, timeout=0.5) as (model, client):
        with pytest.raises(openai.RateLimitError, match="slow down") as limited:
            await ask(client)
        assert limited.value.response.headers["Retry-After"] == "7"
        with pytest.raises(openai.InternalServerError):
            await ask(client)
        with pytest.raises((openai.APIError, json.JSONDecodeError)):
            await ask(client)
        with pytest.raises(openai.APIConnectionError):
            await ask(client)
        with pytest.raises(openai.APITimeoutError):
            await ask(client)
        assert (await ask(client)).choices[0].message.content == "at last"
        with pytest.raises(openai.UnprocessableEntityError, match="no reply is left for request 7"):
            await ask(client)
    assert len(model.requests) == 7


async def test_the_client_retries_what_passes() -> None:
    async with served([Failure(500, headers={"retry-after-ms": "1"}), "better"], max_retries=2) as (_, client):
        assert (await ask(client)).choices[0].message.content == "better"


async def test_what_a_tests_own_function_raises_reaches_the_test() -> None:
    def handler(messages: Any) -> Any:
        raise LookupError("no such order in this test")

    with pytest.raises(LookupError, match="no such order"):
        await asks_and_sees_a_500(handler)


async def asks_and_sees_a_500(handler: Any) -> None:
    async with served(handler) as (_, client):
        with pytest.raises(openai.InternalServerError):
            await ask(client)


async def test_many_at_once() -> None:
    async with served(lambda messages: messages[-1]["content"].upper()) as (_, client):
        answers = await asyncio.gather(*(ask(client, [{"role": "user", "content": f"n{n}"}]) for n in range(50)))
    assert [answer.choices[0].message.content for answer in answers] == [f"N{n}" for n in range(50)]
