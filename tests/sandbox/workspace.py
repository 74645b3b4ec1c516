"""What tests do in a local workspace: as its people, as the app, and as the app's transports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.app import Sandbox

Json = dict[str, Any]
_T = TypeVar("_T")

AGENTS, APPROVALS = "C0AGENTS001", "C0APPROVALS"
REQUESTER, REVIEWER, REVIEWER_2 = "U0REQUESTER", "U0REVIEWER1", "U0REVIEWER2"
FOREIGN, GUEST, DEACTIVATED, BOT = "U0FOREIGN01", "U0GUEST0001", "U0FORMER001", "U0COUNTERSIGN"


class Workspace:
    """A running workspace, with the control endpoints and the app's Web API client."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.http = http
        self.client = AsyncWebClient(sandbox.config.bot_token, base_url=sandbox.api_url)

    async def get(self, path: str, **query: str) -> Json:
        async with self.http.get(f"{self.sandbox.url}/sandbox/api/{path}", params=query) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def post(self, path: str, **body: Any) -> Json:
        status, answer = await self.try_post(path, **body)
        assert status == 200, answer
        return answer

    async def try_post(self, path: str, **body: Any) -> tuple[int, Json]:
        async with self.http.post(f"{self.sandbox.url}/sandbox/api/{path}", json=body) as response:
            return response.status, await response.json()

    async def messages(self, channel: str = AGENTS, **query: str) -> list[Json]:
        return (await self.get(f"channels/{channel}/messages", **query))["messages"]

    async def message(self, ts: str, channel: str = AGENTS) -> Json:
        return next(m for m in await self.messages(channel) if m["ts"] == ts)

    async def views(self, user: str) -> list[Json]:
        return (await self.get("views", user=user))["views"]

    async def say(self, text: str, user: str = REQUESTER, channel: str = AGENTS, **fields: Any) -> Json:
        return await self.post("messages", user=user, channel=channel, text=text, **fields)

    async def call(self, method: str, token: str | None = None, **arguments: Any) -> Json:
        """A raw call with a form, as any client would send it: status and headers stay out of it."""
        headers = {"Authorization": f"Bearer {token or self.sandbox.config.bot_token}"}
        url = self.sandbox.api_url + method
        async with self.http.post(url, data=arguments, headers=headers) as response:
            return await response.json()


async def error_of(call: Awaitable[Any]) -> str:
    """The error code that a Slack client raises."""
    try:
        answer = await call
    except SlackApiError as refused:
        return str(refused.response["error"])
    raise AssertionError(f"it was not refused: {answer}")


async def eventually(probe: Callable[[], Awaitable[_T]], seconds: float = 5.0) -> _T:
    """What `probe` returns as soon as it is true."""
    async with asyncio.timeout(seconds):
        while not (found := await probe()):
            await asyncio.sleep(0.01)
        return found


@dataclass
class SocketApp:
    """An app on Socket Mode without any framework: it keeps envelopes and acknowledges while `acks` is True."""

    socket: aiohttp.ClientWebSocketResponse
    hello: Json
    acks: bool = True
    answer: Any = None
    envelopes: asyncio.Queue[Json] = field(default_factory=asyncio.Queue)
    disconnects: asyncio.Queue[Json] = field(default_factory=asyncio.Queue)

    async def receive(self) -> None:
        async for frame in self.socket:
            message = json.loads(frame.data)
            if message["type"] == "disconnect":
                self.disconnects.put_nowait(message)
                continue
            self.envelopes.put_nowait(message)
            if self.acks:
                ack = {"envelope_id": message["envelope_id"]}
                await self.socket.send_json(ack | ({"payload": self.answer} if self.answer is not None else {}))

    async def next(self, kind: str | None = None) -> Json:
        """The next envelope; of that event's or interaction's type, where one is named."""
        async with asyncio.timeout(5):
            while True:
                envelope = await self.envelopes.get()
                payload = envelope["payload"]
                if kind in (None, payload.get("type"), payload.get("event", {}).get("type"), payload.get("command")):
                    return envelope


async def socket_url(workspace: Workspace) -> str:
    return str((await workspace.call("apps.connections.open", token=workspace.sandbox.config.app_token))["url"])


@asynccontextmanager
async def connected(workspace: Workspace) -> AsyncIterator[SocketApp]:
    async with workspace.http.ws_connect(await socket_url(workspace)) as socket:
        app = SocketApp(socket, await socket.receive_json())
        receiving = asyncio.create_task(app.receive())
        try:
            yield app
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpApp:
    """An app on HTTP mode without any framework: it keeps requests and answers what `answer` says."""

    url: str = ""
    answer: Callable[[Received], web.Response] = lambda received: web.Response()
    requests: asyncio.Queue[Received] = field(default_factory=asyncio.Queue)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        received = Received(dict(request.headers), await request.read())
        self.requests.put_nowait(received)
        await self.may_answer.wait()
        return self.answer(received)

    async def next(self) -> Received:
        async with asyncio.timeout(5):
            return await self.requests.get()


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serves an aiohttp application on a free port; yields its URL."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listening() -> AsyncIterator[HttpApp]:
    app, listener = web.Application(), HttpApp()
    listener.may_answer.set()
    app.add_routes([web.post("/slack/events", listener.handle)])
    async with served(app) as url:
        listener.url = f"{url}/slack/events"
        yield listener


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def button(action_id: str, **fields: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": plain("Press"), **fields}


def actions(*elements: Json, **fields: Any) -> Json:
    return {"type": "actions", "elements": list(elements), **fields}


def modal(*blocks: Json, **fields: Any) -> Json:
    return {
        "type": "modal",
        "callback_id": "modal",
        "title": plain("Title"),
        "submit": plain("Send"),
        "blocks": list(blocks),
        **fields,
    }


def text_input(block_id: str, **fields: Any) -> Json:
    element = {"type": "plain_text_input", "action_id": "text", **fields}
    return {"type": "input", "block_id": block_id, "label": plain("Label"), "element": element}
