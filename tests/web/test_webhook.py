"""The signed webhook."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import shutil
import subprocess
from typing import Any

import pytest
from multidict import CIMultiDict
from structlog.testing import capture_logs

from agent_runtime.core.duration import SECOND
from agent_runtime.errors import InvalidSetting
from agent_runtime.settings import Settings, load
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from agent_runtime.web.signatures import WebhookKeys
from tests.web.conftest import WEBHOOK_SECRET, Answer, Api, Serve, World

PATH = "/api/v1/webhooks/approval-response"


def body_of(approval: Any, decision: str = "approved", **more: Any) -> bytes:
    return json.dumps({"requestId": approval.approval_request_id, "decision": decision, **more}).encode()


def signature(body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {"X-Webhook-Signature": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def standard(body: bytes, at: int, secret: bytes = WEBHOOK_SECRET.encode(), message: str = "msg_1") -> dict[str, str]:
    signed = b"%s.%d.%s" % (message.encode(), at, body)
    made = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": f"v1,{made}"}


async def send(api: Api, body: bytes, headers: dict[str, str]) -> Answer:
    return await api.post(PATH, body, headers=headers)


async def test_a_signed_decision_counts(api: Api, world: World) -> None:
    approval = await world.waiting(reviewers=("U1",), quorum=3)
    body = body_of(approval, feedback="confirmed")
    answer = await send(api, body, signature(body))
    decided = answer.json
    assert (answer.status, decided["status"], decided["already_processed"]) == (200, "approved", False)
    assert (decided["decided_by"], decided["resolution"]["via"]) == ("webhook:approval-response", "webhook")
    assert (await world.execution(approval)).status == "queued"


async def test_a_body_that_is_not_encoded_as_it_says_is_refused(api: Api) -> None:
    """A stranger's nonsense is no error of ours, with a traceback in the log."""
    with capture_logs() as logged:
        answer = await send(api, b"abcde", {"Content-Encoding": "gzip"})
    assert (answer.status, answer.json["type"]) == (400, "urn:countersign:problem:bad-request")
    assert [line for line in logged if line["log_level"] == "error"] == []


async def test_it_is_served_where_tokens_exist_and_behind_a_proxy(api: Api, world: World) -> None:
    await world.token("read")
    approval = await world.waiting()
    body = body_of(approval)
    headers = signature(body) | {"X-Forwarded-For": "192.0.2.1", "Host": "approvals.example"}
    assert (await send(api, body, headers)).status == 200


def test_the_signature_is_that_of_the_published_vectors() -> None:
    """RFC 4231, test case 2, with its key as the secret; and Standard Webhooks' own example."""
    keys = WebhookKeys(b"Jefe", base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    keys.check(_headers({"X-Webhook-Signature": f"sha256={known}"}), b"what do ya want for nothing?", 0)
    keys.check(
        _headers(
            {
                "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "webhook-timestamp": "1614265330",
                "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            }
        ),
        b'{"test": 2432232314}',
        1614265330,
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
async def test_a_signature_made_by_openssl_counts(api: Api, world: World) -> None:
    body = body_of(await world.waiting())
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", WEBHOOK_SECRET], input=body, capture_output=True, check=True
    )
    made = done.stdout.decode().split()[-1]
    assert (await send(api, body, {"X-Webhook-Signature": f"sha256={made}"})).status == 200


async def test_a_replay_changes_nothing(api: Api, world: World) -> None:
    approval = await world.waiting()
    body = body_of(approval, "rejected")
    await send(api, body, signature(body))
    before = await world.approval(approval)
    await world.clock.advance(3600 * SECOND)
    answer = await send(api, body, signature(body))
    assert (answer.status, answer.json["already_processed"]) == (200, True)
    assert await world.approval(approval) == before
    events = await world.database.all(EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=0, b_limit=9)
    assert [event.type for event in events] == ["approval.requested", "approval.rejected"]
    other = body_of(approval, "approved")
    refused = await send(api, other, signature(other))
    assert (refused.status, "webhook:approval-response" in refused.json["detail"]) == (409, True)


async def test_many_at_once_are_one_decision(api: Api, world: World) -> None:
    approval = await world.waiting()
    body = body_of(approval)
    answers = await asyncio.gather(*(send(api, body, signature(body)) for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.json["already_processed"] for answer in answers) == [False] + [True] * 7


GOOD = "sha256=" + "0" * 64


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "sha256=",
        GOOD,
        GOOD[:-1],
        GOOD + "0",
        f"{GOOD}, {GOOD}",
        "0" * 64,
        "sha1=" + "0" * 40,
        "SHA256=" + "0" * 64,
        "sha256=" + "g" * 64,
        "sha256=" + "é" * 64,
        "sha256=" + "\u0660" * 64,
    ],
)
async def test_a_missing_malformed_or_wrong_signature_is_401(api: Api, world: World, value: str | None) -> None:
    approval = await world.waiting()
    answer = await send(api, body_of(approval), {} if value is None else {"X-Webhook-Signature": value})
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (401, "application/problem+json")
    assert (await world.approval(approval)).status == "pending"


async def test_a_signature_of_another_body_secret_or_encoding_is_401(api: Api, world: World) -> None:
    approval = await world.waiting()
    body = body_of(approval)
    digest = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).digest()
    for headers in (
        signature(body + b"\n"),
        signature(body_of(approval, "rejected")),
        signature(body, "another-secret-of-sufficient-length"),
        {"X-Webhook-Signature": "sha256=" + base64.b64encode(digest).decode()},
        {"X-Webhook-Signature": digest.hex()},
    ):
        assert (await send(api, body, headers)).status == 401
    upper = {"X-Webhook-Signature": "sha256=" + digest.hex().upper()}
    assert (await send(api, body, upper)).status == 200


@pytest.mark.parametrize("name", [b"X-Webhook-Signature", b"webhook-id", b"webhook-timestamp", b"webhook-signature"])
async def test_header_bytes_that_are_no_ascii_are_401(api: Api, world: World, name: bytes) -> None:
    body = body_of(await world.waiting())
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rsplit(":", 1)[1]))
    writer.write(
        b"POST %s HTTP/1.1\r\nHost: x\r\n%s: sha256=\xff\xe9\xc3\xa9\r\nContent-Length: %d\r\n\r\n%s"
        % (PATH.encode(), name, len(body), body)
    )
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert b" 401 " in line or b" 400 " in line  # 400: the parser of this aiohttp refuses such bytes itself


async def test_standard_webhooks(api: Api, world: World) -> None:
    now = world.clock.now // SECOND
    for at in (now, now - 300, now + 300):
        body = body_of(await world.waiting())
        assert (await send(api, body, standard(body, at))).status == 200
    approval = await world.waiting()
    body = body_of(approval)
    right = standard(body, now)
    listed = right | {"webhook-signature": "v1,AAAA v1a,BBBB " + right["webhook-signature"]}
    wrong = [
        standard(body, now - 301),
        standard(body, now + 301),
        standard(body, now, b"another secret"),
        right | {"webhook-id": "msg_2"},
        right | {"webhook-timestamp": str(now - 1)},
        right | {"webhook-timestamp": f"{now}.0"},
        right | {"webhook-timestamp": f"+{now}"},
        right | {"webhook-timestamp": "9" * 40},
        right | {"webhook-signature": right["webhook-signature"].removeprefix("v1,")},
        right | {"webhook-signature": right["webhook-signature"].replace("v1,", "v1a,")},
        right | {"webhook-signature": ""},
        *({key: value for key, value in right.items() if key != left_out} for left_out in right),
    ]
    for headers in wrong:
        assert (await send(api, body, headers)).status == 401, headers
    assert (await world.approval(approval)).status == "pending"
    assert (await send(api, body, listed)).status == 200


async def test_one_scheme_is_no_way_round_the_other(api: Api, world: World) -> None:
    body = body_of(await world.waiting())
    now = world.clock.now // SECOND
    stale, right = standard(body, now - 1000), standard(body, now)
    assert (await send(api, body, signature(body) | stale)).status == 401
    assert (await send(api, body, right | {"X-Webhook-Signature": GOOD})).status == 401
    assert (await send(api, body, right | signature(body))).status == 200


async def test_the_settings_choose_the_scheme(serve: Serve, world: World) -> None:
    now = world.clock.now // SECOND
    for chosen, statuses in [("body", (200, 401)), ("standard", (401, 200)), ("both", (200, 200))]:
        api = await serve(webhook_signatures=chosen)
        one, two = body_of(await world.waiting()), body_of(await world.waiting())
        assert (await send(api, one, signature(one))).status == statuses[0], chosen
        assert (await send(api, two, standard(two, now))).status == statuses[1], chosen


async def test_a_whsec_secret_keys_each_scheme_its_own_way(serve: Serve, world: World) -> None:
    key = bytes(range(32))
    secret = "whsec_" + base64.b64encode(key).decode()
    api = await serve(approval_webhook_secret=secret)
    one, two = body_of(await world.waiting()), body_of(await world.waiting())
    assert (await send(api, one, signature(one, secret))).status == 200
    assert (await send(api, two, standard(two, world.clock.now // SECOND, key))).status == 200


async def test_without_a_secret_it_is_off(serve: Serve, world: World) -> None:
    api = await serve(approval_webhook_secret=None)
    body = body_of(await world.waiting())
    answer = await send(api, body, signature(body, ""))
    assert (answer.status, "COUNTERSIGN_APPROVAL_WEBHOOK_SECRET" in answer.json["detail"]) == (503, True)


async def test_an_empty_secret_is_none(serve: Serve, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", "")
    api = await serve(approval_webhook_secret=load(Settings).approval_webhook_secret)
    body = body_of(await world.waiting())
    assert (await send(api, body, signature(body, ""))).status == 503


@pytest.mark.parametrize("secret", [" ", "short", "x" * 15])
def test_a_short_secret_stops_the_start(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", secret)
    with pytest.raises(InvalidSetting, match="COUNTERSIGN_APPROVAL_WEBHOOK_SECRET"):
        load(Settings)


@pytest.mark.parametrize("secret", ["whsec_" + base64.b64encode(b"x" * 15).decode(), "whsec_not base64, but long"])
async def test_a_bad_whsec_secret_stops_the_start(serve: Serve, secret: str) -> None:
    with pytest.raises(InvalidSetting, match="COUNTERSIGN_APPROVAL_WEBHOOK_SECRET"):
        await serve(approval_webhook_secret=secret)
    await serve(approval_webhook_secret=secret, webhook_signatures="body")


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"requestId": None}, 422, "requestId"),
        ({"requestId": 1}, 422, "requestId"),
        ({"requestId": "apr_none"}, 404, "no approval"),
        ({"requestId": "a\0b"}, 404, "no approval"),
        ({"requestId": "apr_none", "decision": "maybe"}, 404, "no approval"),
        ({"decision": "maybe"}, 422, "decision"),
        ({"decision": None}, 422, "decision"),
        ({"approver": "U1"}, 422, "approver"),
        ({"edited_arguments": {}}, 422, "edited_arguments"),
        ({"feedback": 1}, 422, "feedback"),
    ],
)
async def test_a_bad_body_is_refused_by_name(
    api: Api, world: World, change: dict[str, Any], status: int, field: str
) -> None:
    approval = await world.waiting(allow_edits=True)
    body = json.dumps(json.loads(body_of(approval)) | change).encode()
    answer = await send(api, body, signature(body))
    assert (answer.status, answer.json["detail"].startswith(field)) == (status, True), answer.json
    assert (await world.approval(approval)).status == "pending"


TWICE = b'{"requestId": "%s", "decision": "rejected", "decision": "approved"}'


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", TWICE])
async def test_what_is_no_plain_object_is_422(api: Api, world: World, raw: bytes) -> None:
    approval = await world.waiting()
    body = raw.replace(b"%s", approval.approval_request_id.encode())
    assert (await send(api, body, signature(body))).status == 422
    assert (await world.approval(approval)).status == "pending"


async def test_a_call_in_doubt_and_a_closed_door_are_refused(api: Api, world: World) -> None:
    doubt, closed = await world.in_doubt(), await world.waiting(allowed_via=("slack", "api"))
    for approval, status in [(doubt, 422), (closed, 403)]:
        body = body_of(approval)
        assert (await send(api, body, signature(body))).status == status


async def test_only_post(api: Api) -> None:
    answer = await api.get(PATH)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def _headers(given: dict[str, str]) -> Any:
    return CIMultiDict(given)
