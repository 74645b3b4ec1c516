"""A NUL character, which PostgreSQL holds in no text, in whatever a request can carry: refused, and never a fault."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json

import pytest

from agent_runtime.web.app import ENDPOINTS
from agent_runtime.web.authentication import SESSION_COOKIE, WEBHOOK
from tests.web.conftest import AGENT, WEBHOOK_SECRET, Api, World

pytestmark = pytest.mark.databases("postgresql")

PATHS = sorted({(one.method, one.path) for one in ENDPOINTS if "{" in one.path})
QUERIES = sorted({(one.path, name) for one in ENDPOINTS if one.query for name in one.query.model_fields})


def filled(path: str, text: str) -> str:
    """The path with `text` in each of its places."""
    return "".join(text if part.startswith("{") else part for part in _parts(path))


def _parts(path: str) -> list[str]:
    parts = path.replace("{", "\0{").replace("}", "}\0").split("\0")
    return [part for part in parts if part]


async def test_in_ids(api: Api) -> None:
    for method, path in PATHS:
        for text in ("%00", "apr_1%00", f"{AGENT}%00", f"{AGENT}.%00", "apr_%ed%a0%80"):
            asked = filled(path, text)
            answer = await api.send(method, asked, json={} if method == "POST" else None)
            assert answer.status in {404, 422}, (method, asked, answer.text)


async def test_in_query_strings(api: Api, world: World) -> None:
    approval = await world.waiting()
    for path, name in QUERIES:
        for text in ("%00", "x%00y", "pending%00", "%ed%a0%80"):
            asked = f"{filled(path, approval.approval_request_id)}?{name}={text}"
            assert (await api.get(asked)).status == 422, asked
    for path in sorted({path for path, _ in QUERIES}):
        for query in ("%00=1", "%00", "a%00b=c"):
            asked = f"{filled(path, approval.approval_request_id)}?{query}"
            assert (await api.get(asked)).status == 422, asked


@pytest.mark.parametrize("order", ["approvals", "executions", "pending"])
async def test_in_cursors(api: Api, order: str) -> None:
    path = "/pending" if order == "pending" else f"/api/v1/{order}"
    for inner in (f'["{order}",1,"\\u0000"]', f'["{order}",1,"apr_\\ud800"]', f'["\\u0000{order}",1,"x"]'):
        cursor = base64.urlsafe_b64encode(inner.encode()).decode().rstrip("=")
        assert (await api.get(f"{path}?cursor={cursor}")).status == 422, inner


async def test_in_headers(api: Api, world: World) -> None:
    """What a client can send in a header is refused by its form; a NUL itself makes no HTTP."""
    execute = f"/api/v1/execute/async/{AGENT}"
    for key in ("", "a b", "é", "x" * 256):
        answer = await api.post(execute, {"prompt": "x"}, headers={"Idempotency-Key": key})
        assert answer.status == 422, key
    execution = await world.started()
    events = f"/api/v1/executions/{execution.execution_id}/events"
    for last in ("x", "-1", "9" * 40, "é"):
        assert (await api.get(events, headers={"Last-Event-ID": last})).status == 422, last
    for cookie in ("%00", "x%00y", "cs_session_%00"):
        answer = await api.get("/api/v1/approvals", headers={"Cookie": f"{SESSION_COOKIE}={cookie}"})
        assert answer.status == 200, "no session: the local operator's own request"
    for token in ("cs_%00", "cs_é", "cs_" + "A" * 43):
        answer = await api.get("/api/v1/approvals", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 401, token


@pytest.mark.parametrize("raw", [b"Idempotency-Key: a\x00b", b"X-Webhook-Signature: \x00", b"Cookie: \x00=1"])
async def test_a_raw_nul_in_a_header(api: Api, raw: bytes) -> None:
    answer = await raw_request(api, b"GET /api/v1/approvals HTTP/1.1", raw)
    assert answer.split()[1] == b"400", answer


@pytest.mark.parametrize(
    "line", [b"GET /api/v1/approvals/\x00 HTTP/1.1", b"GET /api/v1/approvals?status=\x00 HTTP/1.1"]
)
async def test_a_raw_nul_in_the_request_line(api: Api, line: bytes) -> None:
    assert (await raw_request(api, line)).split()[1] in {b"400", b"404", b"422"}


async def raw_request(api: Api, line: bytes, *headers: bytes) -> bytes:
    """Sends bytes that no client would; the first line of the answer."""
    port = int(api.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"\r\n".join([line, b"Host: 127.0.0.1", b"Connection: close", *headers, b"", b""]))
        return await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_in_bodies(api: Api, world: World) -> None:
    approval = await world.waiting()
    about = f"/api/v1/approvals/{approval.approval_request_id}"
    for path, body in {
        f"/api/v1/execute/async/{AGENT}": {"prompt": "x\0y"},
        "/api/v1/approvals": {"title": "x\0y"},
        "/pending": {"request_id": "r\0", "action_description": "x"},
        f"{about}/decision": {"decision": "rejected", "feedback": "x\0"},
        f"/approve/{approval.approval_request_id}": {"decision": "approved", "digest": "\0"},
        "/api/v1/switches": {"stop": "\0"},
    }.items():
        answer = await api.post(path, body)
        assert answer.status in {404, 409, 422}, (path, answer.text)


async def test_in_a_signed_webhook(api: Api) -> None:
    for name in ("\0", "apr_\0"):
        raw = json.dumps({"requestId": name, "decision": "approved"}).encode()
        signed = hmac.new(WEBHOOK_SECRET.encode(), raw, hashlib.sha256).hexdigest()
        answer = await api.post(WEBHOOK, raw, headers={"X-Webhook-Signature": f"sha256={signed}"})
        assert answer.status in {404, 422}, answer.text


@pytest.mark.parametrize(
    "header", [b"Origin: http://[", b"Origin: \xff", b"X-CSRF-Token: \xff\xfe", b"Sec-Fetch-Site: \xff"]
)
async def test_bytes_of_a_browser_that_are_no_text(api: Api, world: World, header: bytes) -> None:
    token = (await world.token("start"))["Authorization"].encode()
    cookie = f"Cookie: {SESSION_COOKIE}={'A' * 43}".encode()
    same_site = b"Sec-Fetch-Site: same-origin"
    headers = [b"Authorization: " + token, cookie, header, *([] if b"Site" in header else [same_site])]
    answer = await raw_request(api, b"POST /pending HTTP/1.1", *headers, b"Content-Length: 0")
    assert answer.split()[1] == b"403", answer


@pytest.mark.parametrize("accepted", [b"text/plain; version=x", b"application/openmetrics-text; version=\xff", b"\xff"])
async def test_what_metrics_are_accepted_as(api: Api, accepted: bytes) -> None:
    assert (await raw_request(api, b"GET /metrics HTTP/1.1", b"Accept: " + accepted)).split()[1] == b"200"
