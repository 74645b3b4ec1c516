"""The workspace as a whole, seeded from its configuration."""

from __future__ import annotations

from collections import defaultdict

from bot.sandbox.config import SandboxConfig
from bot.sandbox.workspace.channels import Channel, channel_from
from bot.sandbox.workspace.clock import Clock
from bot.sandbox.workspace.files import Files
from bot.sandbox.workspace.messages import Message, MessageLog
from bot.sandbox.workspace.people import User, UserGroup, bot_from, group_from, user_from
from bot.sandbox.workspace.text import typed_text
from bot.sandbox.workspace.views import Views


class Workspace:
    """Everything that Slack would remember. Look-ups return None for what does not exist."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        now = clock.seconds()
        people = [user_from(user, config.team_id, now) for user in config.users]
        self.users: dict[str, User] = {user.id: user for user in [*people, bot_from(config, now)]}
        self.groups: dict[str, UserGroup] = {g.id: group_from(g, now) for g in config.user_groups}
        self.channels: dict[str, Channel] = {c.id: c for c in self._seeded_channels(now)}
        self.logs: dict[str, MessageLog] = defaultdict(MessageLog)
        self.views = Views(clock)
        self.files = Files()
        self.homes_opened: set[str] = set()

    @property
    def bot(self) -> User:
        return self.users[self.config.bot_user_id]

    @property
    def people(self) -> list[User]:
        """Everybody but the app's bot user, in the order of the configuration."""
        return [user for user in self.users.values() if not user.is_bot]

    def channel(self, reference: str) -> Channel | None:
        """A conversation by id, or by name with or without `#`."""
        if reference in self.channels:
            return self.channels[reference]
        name = reference.removeprefix("#")
        return next((c for c in self.channels.values() if not c.is_im and c.name == name), None)

    def channels_of(self, user: str) -> list[Channel]:
        return [channel for channel in self.channels.values() if user in channel.members]

    def dm_with(self, user: str) -> Channel | None:
        """The direct message between this person and the bot, None before it was opened."""
        return next((c for c in self.channels.values() if c.is_im and user in c.members), None)

    def open_dm(self, user: str) -> Channel:
        existing = self.dm_with(user)
        if existing is not None:
            return existing
        # An id derived from the person's stays the same across resets.
        channel = Channel(
            id=f"D{user[1:]}",
            name=self.users[user].username,
            kind="im",
            members=[user, self.bot.id],
            created=self.clock.seconds(),
        )
        self.channels[channel.id] = channel
        return channel

    def user_named(self, email: str) -> User | None:
        return next((u for u in self.people if u.email.lower() == email.lower() and not u.deleted), None)

    def post(self, message: Message) -> Message:
        self.logs[message.channel].add(message)
        return message

    def as_typed(self, text: str) -> str:
        """Slack's form of what a person typed: mentions, links and escapes."""
        mentions: dict[str, str] = {}
        for user in self.users.values():
            mentions[f"@{user.name.lower()}"] = mentions[f"@{user.username}"] = f"<@{user.id}>"
        for group in self.groups.values():
            mentions[f"@{group.handle.lower()}"] = f"<!subteam^{group.id}|@{group.handle}>"
        for channel in self.channels.values():
            if not channel.is_im:
                mentions[f"#{channel.name}"] = f"<#{channel.id}|{channel.name}>"
        for everyone in ("channel", "here", "everyone"):
            mentions[f"@{everyone}"] = f"<!{everyone}>"
        return typed_text(text, mentions=mentions, user_exists=self.users.__contains__)

    def _seeded_channels(self, now: int) -> list[Channel]:
        channels = []
        for config in self.config.channels:
            chosen = config.members
            members = [u.id for u in self.people if (chosen is None and not u.deleted) or u.id in (chosen or ())]
            if config.bot_is_member:
                members.append(self.config.bot_user_id)
            shared = any(self.users[member].is_stranger for member in members)
            channels.append(channel_from(config, members, is_shared=shared, now=now))
        return channels
