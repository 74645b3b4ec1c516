"""A channel of the workspace in which a test's people write, click and read, through the control endpoints alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.stack import ESCALATIONS, Json, Stack
from tests.e2e.waiting import PATIENCE, until

REQUESTER, BYSTANDER, GUEST = "U0REQUESTER", "U0BYSTANDER", "U0GUEST0001"
FOREIGN, FORMER = "U0FOREIGN01", "U0FORMER001"

DECIDE = ["approval.approve", "approval.reject", "approval.request_changes", "approval.details"]
"""The buttons of a card that is open."""

CARD, PROGRESS = "approval.card", "execution.progress"
"""What the metadata of the bot's messages says that they are."""


@dataclass
class Room:
    """One channel of `stack`."""

    stack: Stack
    channel: str

    # --- what people do -------------------------------------------------------------------------------------------

    async def asks(self, text: str, *, user: str = REQUESTER, thread_ts: str | None = None) -> Thread:
        """Mentions the bot; the thread in which it answers."""
        mention = f"<@{self.stack.sandbox.config.bot_user_id}> {text}"
        body = {"channel": self.channel, "user": user, "text": mention, "thread_ts": thread_ts}
        posted = await self.stack.workspace("POST", "/messages", body)
        return Thread(self, thread_ts or posted["ts"])

    async def clicks(self, user: str, message: Json, action_id: str, *, option: str | None = None) -> Json:
        """Uses a button of a message, confirming where it asks to."""
        body = {
            "user": user,
            "channel": message["channel"],
            "message_ts": message["ts"],
            "action_id": action_id,
            "confirm": True,
            "selected_option": option,
        }
        answer = await self.stack.workspace("POST", "/actions", body)
        assert answer["acked"], answer
        return answer

    async def opens(self, user: str, message: Json, action_id: str) -> Json:
        """The modal that a button opens."""
        await self.clicks(user, message, action_id)

        async def opened() -> Json | None:
            views = (await self.stack.workspace("GET", "/views", query={"user": user}))["views"]
            return next((view for view in views if view["type"] == "modal"), None)

        return await until(opened, f"{user} sees a modal", explain=self.stack.explain)

    async def submits(self, user: str, view: Json, **inputs: str) -> Json:
        """Fills in text inputs by their block_id, and submits."""
        values = {block_id: {"text": text} for block_id, text in inputs.items()}
        answer = await self.stack.workspace("POST", f"/views/{view['id']}/submit", {"user": user, "values": values})
        assert answer["acked"], answer
        return answer

    # --- what people see ------------------------------------------------------------------------------------------

    async def messages(self, channel: str = "", user: str | None = None) -> list[Json]:
        channel = channel or self.channel
        query = {} if user is None else {"user": user}
        found = await self.stack.workspace("GET", f"/channels/{channel}/messages", query=query)
        return [{**message, "channel": channel} for message in found["messages"]]

    async def sees(
        self, wanted: Callable[[Json], bool], what: str, *, channel: str = "", within: float = PATIENCE
    ) -> Json:
        """The first message of the channel that is wanted, once it is there."""
        seen: list[Json] = []

        async def there() -> Json | None:
            seen[:] = await self.messages(channel)
            return next((message for message in seen if wanted(message)), None)

        def explain() -> str:
            return "\n".join([*(f"{m['ts']} {mark(m, 'topic')} {shown(m)}" for m in seen), self.stack.explain()])

        return await until(there, f"in {channel or self.channel}: {what}", within=within, explain=explain)

    async def direct_message(self, user: str) -> str:
        """The conversation of a person with the bot."""
        channels = (await self.stack.workspace("GET", "/channels", query={"user": user}))["channels"]
        return next(str(channel["id"]) for channel in channels if channel["is_im"])

    async def is_told(self, user: str, *words: str) -> Json:
        """What this person alone sees: in the room, or as a direct message of the bot's."""

        async def told() -> Json | None:
            seen = [m for m in await self.messages(user=user) if m["ephemeral_to"] == user]
            seen += await self.messages(await self.direct_message(user), user)
            return next((message for message in seen if says(message, *words)), None)

        return await until(told, f"{user} is told {' and '.join(words)}", explain=self.stack.explain)

    async def cards(self, approval_request_id: str, channel: str = "") -> list[Json]:
        """Every message that is the card of an approval."""
        return [
            m for m in await self.messages(channel) if mark(m, "topic") == CARD and mark(m, "id") == approval_request_id
        ]


@dataclass
class Thread:
    """What became of one mention."""

    room: Room
    ts: str

    async def messages(self) -> list[Json]:
        """The replies that everyone sees."""
        return [m for m in await self.room.messages() if m["thread_ts"] == self.ts and m["ts"] != self.ts]

    async def sees(self, *words: str, topic: str = "", within: float = PATIENCE) -> Json:
        """The first reply in which all these words stand."""
        return await self.room.sees(
            lambda m: (
                m["thread_ts"] == self.ts
                and m["ts"] != self.ts
                and mark(m, "topic").startswith(topic)
                and says(m, *words)
            ),
            f"{topic} {' and '.join(words)}",
            within=within,
        )

    async def card(self, *words: str, within: float = PATIENCE) -> Json:
        """The thread's card, once it shows all these words."""
        return await self.sees(*words, topic=CARD, within=within)

    async def open_card(self) -> Json:
        """The thread's card that asks for a decision."""
        return await self.room.sees(
            lambda m: m["thread_ts"] == self.ts and mark(m, "topic") == CARD and bool(buttons(m)), "an open card"
        )

    async def execution(self, within: float = PATIENCE) -> Json:
        """The latest execution of the thread, as the API shows it, once there is one."""
        conversation = f"slack:{self.room.stack.sandbox.config.team_id}:{self.room.channel}:{self.ts}"

        async def started() -> Json | None:
            listed = (await self.room.stack.get("/api/v1/executions?limit=200"))["items"]
            return next((each for each in listed if each["conversation_id"] == conversation), None)

        found = await until(started, "an execution", within=within, explain=self.room.stack.explain)
        return await self.room.stack.get(f"/api/v1/executions/{found['execution_id']}")

    async def ends(self, status: str = "succeeded", within: float = PATIENCE) -> Json:
        """The execution, once it has ended as `status`."""

        async def ended() -> Json | None:
            execution = await self.execution(within)
            return execution if execution["is_complete"] else None

        execution = await until(ended, "the execution ends", within=within, explain=self.room.stack.explain)
        assert execution["status"] == status, execution
        await until(self._asks_for_nothing, "no button is left", within=within, explain=self.room.stack.explain)
        return execution

    async def _asks_for_nothing(self) -> bool:
        """Whether nothing that was said of this thread's approvals, here or where it was escalated to, has buttons."""
        said = await self.messages()
        here = {approval_of(m) for m in said if mark(m, "topic") == CARD}
        elsewhere = [m for m in await self.room.messages(ESCALATIONS) if approval_of(m) in here]
        return not any(map(buttons, [*said, *elsewhere]))

    async def effects(self) -> list[Json]:
        """What its tools have really done."""
        return self.room.stack.effects((await self.execution())["execution_id"])


def shown(message: Mapping[str, Any]) -> str:
    """All that a message says, with the JSON escapes of its blocks undone."""
    blocks = json.dumps(message.get("blocks", []), ensure_ascii=False)
    return f"{message['text']}\n{blocks}".replace('\\"', '"')


def says(message: Mapping[str, Any], *words: str) -> bool:
    text = shown(message)
    return all(word in text for word in words)


def buttons(message: Mapping[str, Any]) -> list[str]:
    """The action ids of a message's buttons."""
    rows = [block for block in message.get("blocks", []) if block["type"] == "actions"]
    return [element["action_id"] for row in rows for element in row["elements"]]


def mark(message: Mapping[str, Any], name: str) -> str:
    """What the metadata of a message of the bot's says."""
    return str((message.get("metadata") or {}).get("event_payload", {}).get(name, ""))


def approval_of(card: Mapping[str, Any]) -> str:
    """The approval that a card shows."""
    return mark(card, "id")
