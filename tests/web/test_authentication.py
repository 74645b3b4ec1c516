"""Who is served: tokens and their scopes, and the local operator while there is no token."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from agent_runtime.core.duration import HOUR
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import Conflict, InvalidRequest, NotFound
from agent_runtime.operations.tokens import create_token, list_tokens, revoke_token
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.web.loopback import refusal
from tests.web.conftest import AGENT, Api, Serve, World

LIST = "/api/v1/approvals"


async def test_without_tokens_this_machine_is_served(api: Api) -> None:
    assert (await api.get(LIST)).status == 200
    assert (await api.get(LIST, headers={"Origin": api.url})).status == 200
    port = api.url.rsplit(":", 1)[1]
    for host in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", "127.8.8.8:1", f"[::1]:{port}"):
        assert (await api.get(LIST, headers={"Host": host})).status == 200, host


@pytest.mark.parametrize(
    "headers",
    [
        {"Forwarded": "for=192.0.2.1"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"x-forwarded-proto": "https"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Real-IP": "127.0.0.1"},
        {"X-Real-Ip": ""},
        {"Via": "1.1 proxy"},
        {"Host": "attacker.example"},
        {"Host": "attacker.example:8080"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Host": "localhost.attacker.example"},
        {"Host": "localhost."},
        {"Host": "0.0.0.0"},
        {"Host": "192.0.2.1"},
        {"Host": "127.1"},
        {"Host": "[::ffff:192.0.2.1]"},
        {"Host": "user@127.0.0.1"},
        {"Host": ""},
        {"Origin": "https://attacker.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer cs_" + "A" * 43},
        {"Authorization": "Bearer cs_é" + "A" * 42},
        {"Authorization": "Basic YTpi"},
    ],
    ids=str,
)
async def test_without_tokens_nobody_else_is_served(api: Api, headers: dict[str, str]) -> None:
    answer = await api.get(LIST, headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "countersign tokens create" in answer.json["detail"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unheard-of"])
async def test_another_site_s_form_is_refused(api: Api, world: World, site: str) -> None:
    approval = await world.waiting()
    path = f"{LIST}/{approval.approval_request_id}/decision"
    headers = {"Sec-Fetch-Site": site, "Content-Type": "text/plain"}
    assert (await api.post(path, {"decision": "approved"}, headers=headers)).status == 401
    assert (await world.approval(approval)).status == "pending"


@pytest.mark.parametrize(
    ("peer", "served"),
    [
        (("127.0.0.1", 5), True),
        (("127.3.2.1", 5), True),
        (("::1", 5, 0, 0), True),
        (("::ffff:127.0.0.1", 5, 0, 0), True),
        (("192.0.2.7", 5), False),
        (("10.0.0.1", 5), False),
        (("::ffff:10.0.0.1", 5, 0, 0), False),
        (("fe80::1%eth0", 5, 0, 2), False),
        ("", False),
        (None, False),
    ],
)
def test_only_loopback_peers_are_local(peer: object, served: bool) -> None:
    request = make_mocked_request("GET", "/", headers={"Host": "localhost"})
    request.transport.get_extra_info.side_effect = lambda name, default=None: peer if name == "peername" else default
    assert (refusal(request) == "") == served


async def test_a_peer_from_elsewhere_is_refused(serve: Serve) -> None:
    """From this machine's own address on another network, as a neighbour's request would come."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.254", 9))  # chooses an address, sends nothing
        except OSError:
            pytest.skip("this machine has no other network")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no other network")
    api = await serve(host="0.0.0.0")
    api.url = api.url.replace("127.0.0.1", address)
    answer = await api.get(LIST, headers={"Host": "localhost"})
    assert (answer.status, "this machine" in answer.json["detail"]) == (401, True)
    assert (await api.get("/healthz")).status == 200


async def test_two_hosts_are_refused(api: Api) -> None:
    answer = await _raw(api, b"GET /api/v1/approvals HTTP/1.1\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n")
    assert b" 401 " in answer or b" 400 " in answer


async def test_no_host_is_refused(api: Api) -> None:
    assert b" 401 " in await _raw(api, b"GET /api/v1/approvals HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("header", [b"Authorization: Bearer \xff\xfe", b"Host: \xff", b"Origin: \xe9\x00"[:-1]])
async def test_bytes_that_are_no_text_are_refused(api: Api, header: bytes) -> None:
    host = b"" if header.startswith(b"Host") else b"Host: localhost\r\n"
    answer = await _raw(api, b"GET /api/v1/approvals HTTP/1.1\r\n" + host + header + b"\r\nConnection: close\r\n\r\n")
    assert b" 401 " in answer or b" 400 " in answer


async def _raw(api: Api, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rsplit(":", 1)[1]))
    writer.write(sent)
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    return line


async def test_with_a_token_loopback_needs_one_too(api: Api, world: World) -> None:
    reader = await world.token("read")
    answer = await api.get(LIST)
    assert (answer.status, "bearer token is needed" in answer.json["detail"]) == (401, True)
    assert (await api.get(LIST, headers=reader)).status == 200
    lower = {"authorization": reader["Authorization"].replace("Bearer", "bearer")}
    assert (await api.get(LIST, headers=lower)).status == 200


async def test_a_token_is_served_from_anywhere(api: Api, world: World) -> None:
    headers = await world.token("read") | {"X-Forwarded-For": "192.0.2.1", "Host": "approvals.example"}
    assert (await api.get(LIST, headers=headers)).status == 200


async def test_scopes(api: Api, world: World) -> None:
    """Each scope opens its own doors alone: the statuses of a matching request for start, read, decide, admin."""
    approval = await world.waiting()
    about = f"{LIST}/{approval.approval_request_id}"
    execution = f"/api/v1/executions/{approval.execution_id}"
    requests = {
        ("POST", f"/api/v1/execute/async/{AGENT}", b'{"prompt": "x"}'): (202, 403, 403, 403),
        ("GET", "/api/v1/executions", None): (403, 200, 403, 403),
        ("GET", execution, None): (403, 200, 403, 403),
        ("GET", LIST, None): (403, 200, 403, 403),
        ("GET", about, None): (403, 200, 403, 403),
        ("GET", f"{about}/events", None): (403, 200, 403, 403),
        ("POST", f"{about}/decision", b"{"): (403, 403, 422, 403),
        ("POST", f"{about}/settle", b"{"): (403, 403, 422, 403),
        ("GET", "/", None): (403, 200, 403, 403),
        ("GET", "/readyz", None): (503, 503, 503, 503),
        ("GET", "/openapi.json", None): (200, 200, 200, 200),
        ("GET", "/nowhere", None): (404, 404, 404, 404),
    }
    tokens = [await world.token(scope) for scope in ("start", "read", "decide", "admin")]
    for (method, path, body), expected in requests.items():
        answers = [await api.send(method, path, data=body, headers=token) for token in tokens]
        assert tuple(answer.status for answer in answers) == expected, path
        assert (await api.send(method, path, data=body)).status == 401, path


async def test_revoked_and_expired_tokens_are_refused(api: Api, world: World) -> None:
    keep = await world.token("read", name="keep")
    brief = await world.token("read", name="brief", expires_in=HOUR)
    gone = await world.token("read", name="gone")
    await world.database.write(revoke_token, "gone", by=LOCAL_OPERATOR, via=Via.cli)
    assert [(await api.get(LIST, headers=token)).status for token in (keep, brief, gone)] == [200, 200, 401]
    await world.clock.advance(HOUR)
    assert [(await api.get(LIST, headers=token)).status for token in (keep, brief)] == [200, 401]


async def test_an_expired_token_does_not_open_loopback(api: Api, world: World) -> None:
    await world.token("read", expires_in=HOUR)
    await world.clock.advance(2 * HOUR)
    assert (await api.get(LIST)).status == 401


async def test_strangers_learn_nothing_but_what_is_public(serve: Serve, world: World) -> None:
    async def slack(request: web.Request) -> web.Response:
        return web.Response(text="signed for")

    api = await serve(routes=[web.post("/slack/events", slack), web.get("/slack/other", slack)])
    await world.token("read")
    for method, path, status in [
        ("GET", "/healthz", 200),
        ("POST", "/slack/events", 200),
        ("POST", "/api/v1/webhooks/approval-response", 401),
        ("GET", "/slack/other", 401),
        ("GET", "/nowhere", 401),
        ("DELETE", "/api/v1/approvals", 401),
        ("GET", "/healthz/", 401),
        ("GET", "//healthz", 401),
        ("GET", "/api/v1/../../healthz", 200),  # the client sends /healthz
    ]:
        assert (await api.send(method, path)).status == status, path


@pytest.mark.databases("sqlite")
async def test_only_a_hash_of_the_secret_is_kept(world: World) -> None:
    token = await world.token("read", "decide", name="ci")
    (listed,) = await world.database.write(list_tokens)
    assert (listed.name, listed.scopes, listed.principal) == ("ci", ("read", "decide"), "api:ci")
    secret = token["Authorization"].removeprefix("Bearer ")
    assert len(secret) >= 46
    files = list(world.database_files())
    assert files
    assert all(secret.encode() not in file.read_bytes() for file in files)
    await world.database.write(revoke_token, "ci", by=LOCAL_OPERATOR, via=Via.cli)
    events = await world.database.all(EVENTS_OF_STREAM, b_stream="tokens", b_after=0, b_limit=10)
    assert [(event.seq, event.type, event.principal) for event in events] == [
        (1, "token.created", "local:operator"),
        (2, "token.revoked", "local:operator"),
    ]


@pytest.mark.parametrize(
    ("name", "scopes", "options", "field"),
    [
        ("", ["read"], {}, "name"),
        ("a b", ["read"], {}, "name"),
        ("é", ["read"], {}, "name"),
        ("x" * 65, ["read"], {}, "name"),
        ("ci", [], {}, "scopes"),
        ("ci", ["read", "write"], {}, "scopes"),
        ("ci", ["read"], {"stands_for": "U1"}, "for"),
        ("ci", ["read"], {"stands_for": "slack:T1:S12"}, "for"),
        ("ci", ["read"], {"expires_in": -1}, "expires_in"),
        ("ci", ["read"], {"expires_in": 4000 * 24 * HOUR}, "expires_in"),
        ("ci", ["read"], {"expires_in": 0}, "expires_in"),
    ],
)
async def test_a_bad_token_is_refused_by_name(
    world: World, name: str, scopes: list[str], options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: "):
        await world.database.write(create_token, name, scopes, by=LOCAL_OPERATOR, via=Via.cli, **options)


async def test_a_name_is_used_once_for_ever(world: World) -> None:
    await world.token("read", name="ci")
    await world.database.write(revoke_token, "ci", by=LOCAL_OPERATOR, via=Via.cli)
    with pytest.raises(NotFound):
        await world.database.write(revoke_token, "ci", by=LOCAL_OPERATOR, via=Via.cli)
    with pytest.raises(Conflict):
        await world.database.write(create_token, "ci", ["read"], by=LOCAL_OPERATOR, via=Via.cli)
