"""Decisions over the API: what counts, what is refused, and that nothing malformed ever approves."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from agent_runtime import Agent, tool
from agent_runtime.core.approval import ApprovalRequest, Verdict, parse_verdict
from agent_runtime.core.duration import HOUR
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import InvalidRequest
from agent_runtime.web.bodies import DecisionBody, parse
from tests.web.conftest import AGENT, REFUND, Api, Serve, World


def path_of(approval: ApprovalRequest) -> str:
    return f"/api/v1/approvals/{approval.approval_request_id}/decision"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("approved", "approved"),
        ("approve", "approved"),
        ("rejected", "rejected"),
        ("reject", "rejected"),
        ("request_changes", "request_changes"),
    ],
)
async def test_a_decision_ends_the_approval_and_lets_the_execution_go_on(
    api: Api, world: World, said: str, status: str
) -> None:
    approval = await world.waiting(reviewers=("U1",))
    answer = await api.post(path_of(approval), {"decision": said, "feedback": "because"})
    decided = answer.json
    assert (answer.status, decided["status"], decided["already_processed"]) == (200, status, False)
    assert (decided["decided_by"], decided["feedback"]) == ("local:operator", "because")
    assert decided["resolution"]["via"] == "api"
    (vote,) = decided["decisions"]
    assert (vote["decision"], vote["by"], vote["via"]) == (status, "local:operator", "api")
    assert (await world.execution(approval)).status == "queued"


async def test_the_same_again_changes_nothing_and_another_is_told_who_decided(api: Api, world: World) -> None:
    approval = await world.waiting()
    one, two = await world.token("decide", name="one"), await world.token("decide", name="two")
    body = {"decision": "rejected", "feedback": "too much"}
    first = await api.post(path_of(approval), body, headers=one)
    again = await api.post(path_of(approval), body, headers=one)
    assert (first.json["already_processed"], again.status, again.json["already_processed"]) == (False, 200, True)
    assert again.json["resolved_at"] == first.json["resolved_at"]
    for other, who in [({"decision": "approved"}, one), (body | {"feedback": "x"}, one), (body, two)]:
        answer = await api.post(path_of(approval), other, headers=who)
        assert (answer.status, answer.json["type"]) == (409, "urn:countersign:problem:already-resolved")
        assert "api:one" in answer.json["detail"]
        assert (answer.json["by"], answer.json["recorded_status"]) == ("api:one", "rejected")
        assert answer.json["status"] == 409


async def test_of_many_at_once_one_wins(api: Api, world: World) -> None:
    approval = await world.waiting()
    tokens = [await world.token("decide", name=f"t{n}") for n in range(8)]
    bodies = [{"decision": "approved" if n % 2 else "rejected"} for n in range(8)]
    answers = await asyncio.gather(
        *(api.post(path_of(approval), body, headers=token) for body, token in zip(bodies, tokens, strict=True))
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    winner = next(answer.json["decided_by"] for answer in answers if answer.status == 200)
    assert all(winner in answer.json["detail"] for answer in answers if answer.status == 409)


async def test_an_expired_one_is_not_decided(api: Api, world: World) -> None:
    approval = await world.waiting(expires_after=HOUR)
    await world.clock.advance(HOUR)
    answer = await api.post(path_of(approval), {"decision": "approved"})
    assert (answer.status, answer.json["type"]) == (409, "urn:countersign:problem:expired")
    assert (await world.approval(approval)).status == "pending"


async def test_what_was_shown_is_what_is_decided(api: Api, world: World) -> None:
    approval = await world.waiting()
    stale = await api.post(path_of(approval), {"decision": "approved", "digest": "sha256:00"})
    assert (stale.status, stale.json["type"]) == (409, "urn:countersign:problem:stale-digest")
    fresh = await api.post(path_of(approval), {"decision": "approved", "digest": approval.digest})
    assert fresh.json["status"] == "approved"


async def test_edits_are_recorded_where_they_are_allowed(api: Api, world: World) -> None:
    body = {"decision": "approved", "edited_arguments": REFUND | {"amount": 100}}
    refused = await world.waiting()
    assert (await api.post(path_of(refused), body)).status == 422
    allowed = await world.waiting(allow_edits=True)
    assert (await api.post(path_of(allowed), body)).status == 200
    assert json.loads((await world.approval(allowed)).run_arguments)["amount"] == 100
    assert (await api.post(path_of(allowed), body)).json["already_processed"] is True
    assert (await api.post(path_of(allowed), {"decision": "approved"})).status == 409


@pytest.mark.databases("sqlite")
async def test_edits_that_the_tool_cannot_take_are_refused_naming_the_field(serve: Serve, world: World) -> None:
    @tool
    def refund(customer_id: str, amount: float, api_key: str, iban: str) -> None:
        """Pay back."""

    refund.version = "1"  # as the approvals here say
    api = await serve(agents={AGENT: Agent(AGENT, tools=[refund])})
    approval = await world.waiting(allow_edits=True)
    body = {"decision": "approved", "edited_arguments": REFUND | {"amount": "much"}}
    answer = await api.post(path_of(approval), body)
    assert (answer.status, answer.json["type"]) == (422, "urn:countersign:problem:invalid-request")
    assert answer.json["detail"].startswith("edited_arguments: amount: ")
    assert (await world.approval(approval)).status == "pending"
    body["edited_arguments"] = REFUND | {"amount": 1}
    assert (await api.post(path_of(approval), body)).status == 200


async def test_a_mask_is_not_taken_for_a_value(api: Api, world: World) -> None:
    approval = await world.waiting(allow_edits=True)
    shown = (await api.get(path_of(approval).removesuffix("/decision"))).json["arguments"]
    answer = await api.post(path_of(approval), {"decision": "approved", "edited_arguments": shown | {"amount": 1}})
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, "edited_arguments")
    assert (await world.approval(approval)).status == "pending"


async def test_a_token_for_a_person_is_that_person(api: Api, world: World) -> None:
    reviewer = await world.token("decide", name="r", stands_for="slack:T1:U2REVIEWS")
    other = await world.token("decide", name="o", stands_for="slack:T1:U3OTHER")
    requester = await world.token("decide", name="q", stands_for="slack:T1:U1ASKED")
    everyone = ("U1ASKED", "U2REVIEWS", "slack:T1:U4")
    approval = await world.waiting(by=Actor("slack:T1:U1ASKED"), reviewers=everyone, quorum=2)
    body = {"decision": "approved"}
    refusals = [await api.post(path_of(approval), body, headers=who) for who in (other, requester)]
    assert [answer.status for answer in refusals] == [403, 403]
    assert refusals[1].json["self_approval"] is True
    counted = await api.post(path_of(approval), body, headers=reviewer)
    assert (counted.status, counted.json["status"]) == (200, "pending")
    assert [vote["by"] for vote in counted.json["decisions"]] == ["slack:T1:U2REVIEWS"]
    fourth = await world.token("decide", name="f", stands_for="slack:T1:U4XX")
    assert (await api.post(path_of(approval), body, headers=fourth)).status == 403
    nobody = await world.waiting()
    assert (await api.post(path_of(nobody), body, headers=reviewer)).status == 403


async def test_a_door_that_is_left_out_is_closed_to_operators_too(api: Api, world: World) -> None:
    approval = await world.waiting(allowed_via=("slack",))
    answer = await api.post(path_of(approval), {"decision": "approved"})
    assert (answer.status, "slack" in answer.json["detail"]) == (403, True)


async def test_refusals_come_in_the_promised_order(api: Api, world: World) -> None:
    """401, 404, 403, 422, 409: each request deserves every refusal from its own on."""
    approval = await world.waiting(allowed_via=("api",))
    await world.decide(approval, "rejected", Via.api)
    reader, decider = await world.token("read"), await world.token("decide")
    unknown = "/api/v1/approvals/apr_none/decision"
    bad, fine = b"{", {"decision": "approved"}
    assert (await api.post(unknown, bad)).status == 401
    assert (await api.post(unknown, bad, headers=reader)).status == 404
    assert (await api.post(path_of(approval), bad, headers=reader)).status == 403
    assert (await api.post(path_of(approval), bad, headers=decider)).status == 422
    assert (await api.post(path_of(approval), fine, headers=decider)).status == 409


NEVER = [
    (b"", "body"),
    (b"null", "body"),
    (b"[]", "body"),
    (b'"approved"', "body"),
    (b"{}", "decision"),
    (b'{"decision": null}', "decision"),
    (b'{"decision": ""}', "decision"),
    (b'{"decision": true}', "decision"),
    (b'{"decision": 1}', "decision"),
    (b'{"decision": ["approved"]}', "decision"),
    (b'{"decision": "APPROVED"}', "decision"),
    (b'{"decision": "approved "}', "decision"),
    (b'{"decision": "appr\\u043eved"}', "decision"),
    (b'{"decision": "yes"}', "decision"),
    (b'{"decision": "expired"}', "decision"),
    (b'{"Decision": "approved"}', "decision"),
    (b'{"decision": "rejected", "decision": "approved"}', "the JSON"),
    (b'{"decision": "approved", "decision": "approved"}', "the JSON"),
    (b'{"decision": "approved", "decisi\\u006fn": "rejected"}', "the JSON"),
    (b'{"decision": "approved", "approver": "U1"}', "approver"),
    (b'{"decision": "approved", "feedback": 1}', "feedback"),
    (b'{"decision": "approved", "feedback": "a\\u0000b"}', "feedback"),
    (b'{"decision": "approved", "feedback": "\\ud800"}', "feedback"),
    (b'{"decision": "approved", "feedback": "' + b"x" * 10_001 + b'"}', "feedback"),
    (b'{"decision": "approved", "digest": 1}', "digest"),
    (b'{"decision": "approved", "edited_arguments": []}', "edited_arguments"),
    (b'{"decision": "approved", "edited_arguments": {"amount": NaN}}', "edited_arguments.amount"),
    (b'{"decision": "approved", "edited_arguments": {"amount": 1e999}}', "edited_arguments.amount"),
    (b'{"decision": "approved", "edited_arguments": {"amount": 9007199254740993}}', "edited_arguments.amount"),
    (b'{"decision": "approved", "edited_arguments": {"a": 1, "a": 2}}', "edited_arguments"),
    (b'{"decision": "rejected", "edited_arguments": {}}', "edited_arguments"),
    (b'{"decision": "approved"} {}', "the JSON"),
    (b'{"decision": "approved",}', "the JSON"),
    (b"decision=approved", "the JSON"),
    (b'\xef\xbb\xbf{"decision": "approved"}', "the JSON"),
    (b'\xff{"decision": "approved"}', "the JSON"),
    (b'{"decision": "approved", "edited_arguments": {"a":' + b"[" * 40 + b"]" * 40 + b"}}", "the JSON"),
]


@pytest.mark.parametrize(("body", "field"), NEVER, ids=[f"{n}-{field}" for n, (_, field) in enumerate(NEVER)])
async def test_nothing_malformed_approves(api: Api, world: World, body: bytes, field: str) -> None:
    approval = await world.waiting(allow_edits=True)
    answer = await api.post(path_of(approval), body)
    assert (answer.status, answer.headers["Content-Type"]) == (422, "application/problem+json; charset=utf-8")
    assert answer.json["detail"].startswith(field), answer.json["detail"]
    assert (await world.approval(approval)).status == "pending"


async def test_a_body_beyond_256_kib_is_413(api: Api, world: World) -> None:
    approval = await world.waiting()
    body = b'{"decision": "approved"}'
    assert (await api.post(path_of(approval), body + b" " * (262_145 - len(body)))).status == 413
    assert (await world.approval(approval)).status == "pending"
    assert (await api.post(path_of(approval), body + b" " * (262_144 - len(body)))).status == 200


@pytest.mark.databases("sqlite")
async def test_a_body_that_is_announced_beyond_256_kib_is_413_before_it_comes(api: Api, world: World) -> None:
    approval = await world.waiting()
    url = URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {path_of(approval)} HTTP/1.1\r\nHost: {url.authority}\r\nContent-Length: 99999999999\r\n\r\n"
    writer.write(head.encode() + b"{")
    async with asyncio.timeout(10):
        assert (await reader.readline()).split()[1] == b"413"
        assert b"at most 256 KiB are accepted" in await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()


likely = st.sampled_from(["approved", "approve", "rejected", "decision", "feedback", "yes", "true", ""])
words = likely | st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(words, scalars, max_size=3)


@settings(max_examples=300, deadline=None)
@given(pairs=st.lists(st.tuples(words, values) | st.tuples(st.just("decision"), likely), max_size=4))
def test_only_the_two_words_approve(pairs: list[tuple[str, object]]) -> None:
    """Whatever object is sent, duplicate keys included: it is parsed as an approval only if it plainly is one."""
    raw = "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}"
    try:
        verdict = parse_verdict(parse(raw.encode(), DecisionBody).decision)
    except InvalidRequest:
        return
    said = [value for key, value in pairs if key == "decision"]
    assert len(said) == 1
    assert (verdict is Verdict.approved) == (said[0] in ("approved", "approve"))


async def test_a_body_of_many_fields_is_refused_in_few_words(api: Api, world: World) -> None:
    approval = await world.waiting()
    body = {"decision": "approved", **{f"field_{number}": 1 for number in range(10_000)}}
    answer = await api.post(path_of(approval), body)
    assert answer.status == 422
    assert [problem["field"] for problem in answer.json["errors"]] == [f"field_{number}" for number in range(20)]
    assert answer.json["detail"].endswith("; and 9980 more")
