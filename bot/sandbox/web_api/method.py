"""What a Web API method is: its function, its scopes, its tier, which token it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bot.sandbox.errors import SlackError
from bot.sandbox.rates import Rate
from bot.sandbox.scopes import require_any
from bot.sandbox.server import SandboxServer
from bot.sandbox.web_api.arguments import Arguments
from bot.sandbox.workspace.channels import Channel
from bot.sandbox.workspace.messages import Message
from bot.sandbox.workspace.rendering import message_json
from bot.sandbox.workspace.workspace import Workspace


@dataclass(frozen=True)
class Call:
    """One call that was let in."""

    server: SandboxServer
    args: Arguments

    @property
    def workspace(self) -> Workspace:
        return self.server.workspace

    @property
    def scopes(self) -> tuple[str, ...]:
        return self.server.config.scopes

    def require(self, *scopes: str) -> None:
        """Raises: SlackError `missing_scope` unless one of them is granted."""
        require_any(scopes, self.scopes)

    def channel(self, name: str = "channel") -> Channel:
        """The conversation that an argument names, if the bot may know of it.

        Raises:
            SlackError: `channel_not_found`, also for private ones that the bot is not in.
        """
        channel = self.workspace.channel(self.args.required(name))
        if channel is None or (channel.kind != "channel" and self.workspace.bot.id not in channel.members):
            raise SlackError("channel_not_found")
        return channel

    def message(self, channel: Channel, ts: str) -> Message:
        """Raises: SlackError `message_not_found`; ephemeral messages can't be found."""
        message = self.workspace.logs[channel.id].posted(ts)
        if message is None:
            raise SlackError("message_not_found")
        return message

    def rendered(self, message: Message, *, with_metadata: bool = False) -> dict[str, Any]:
        return message_json(self.workspace, message, base_url=self.server.base_url, with_metadata=with_metadata)


@dataclass(frozen=True)
class Method:
    """One method of the Web API.

    Args:
        run: returns the members of the answer besides `ok`.
        scopes: any of them is enough; methods whose scope depends on the conversation check that themselves.
        caller: whose token it takes.
        takes_json: whether a JSON body is read.
    """

    name: str
    run: Callable[[Call], dict[str, Any]]
    rate: Rate
    scopes: tuple[str, ...] = ()
    caller: Literal["bot", "app", "anyone"] = "bot"
    takes_json: bool = True
