"""What a local workspace is made of. Every field has a default, so that it starts with none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bot.sandbox.scopes import GRANTED_BY_DEFAULT

Role = Literal["requester", "reviewer", "bystander", "guest", "foreign", "deactivated", "member"]

UserId = Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{2,}$")]
ChannelId = Annotated[str, StringConstraints(pattern=r"^[CG][A-Z0-9]{2,}$")]
TeamId = Annotated[str, StringConstraints(pattern=r"^T[A-Z0-9]{2,}$")]
GroupId = Annotated[str, StringConstraints(pattern=r"^S[A-Z0-9]{2,}$")]
ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]


def _without_at(handle: str) -> str:
    return handle.removeprefix("@")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UserConfig(_Frozen):
    """A person. `role` only says what tests and the page use them for; `foreign`, `guest` and `deactivated`
    also show in the user object as they do in Slack."""

    id: UserId
    name: str
    role: Role = "member"
    email: str = ""
    team_id: TeamId | None = None


class ChannelConfig(_Frozen):
    """A public or private channel. `members` None puts everybody in it who is not deactivated."""

    id: ChannelId
    name: ChannelName
    members: tuple[UserId, ...] | None = None
    bot_is_member: bool = True
    is_private: bool = False
    purpose: str = ""


class UserGroupConfig(_Frozen):
    """A user group (`@handle`)."""

    id: GroupId
    handle: Annotated[str, AfterValidator(_without_at)]
    name: str
    users: tuple[UserId, ...] = ()


class ScenarioConfig(_Frozen):
    """A button of the page: `user` posts `text` in `channel`."""

    id: str
    label: str
    user: UserId
    channel: ChannelId
    text: str


FOREIGN_TEAM = "T0PARTNER"

DEFAULT_USERS = (
    UserConfig(id="U0REQUESTER", name="Alex", role="requester", email="alex@example.com"),
    UserConfig(id="U0REVIEWER1", name="First Reviewer", role="reviewer", email="reviewer1@example.com"),
    UserConfig(id="U0REVIEWER2", name="Second Reviewer", role="reviewer", email="reviewer2@example.com"),
    UserConfig(id="U0BYSTANDER", name="Bystander", role="bystander", email="bystander@example.com"),
    UserConfig(id="U0GUEST0001", name="Guest", role="guest", email="guest@example.net"),
    UserConfig(id="U0FOREIGN01", name="Partner", role="foreign", email="partner@example.org", team_id=FOREIGN_TEAM),
    UserConfig(id="U0FORMER001", name="Deactivated", role="deactivated", email="former@example.com"),
)
DEFAULT_CHANNELS = (
    ChannelConfig(id="C0AGENTS001", name="agents", purpose="Ask an agent to do something"),
    ChannelConfig(
        id="C0APPROVALS",
        name="approvals",
        members=("U0REVIEWER1", "U0REVIEWER2"),
        purpose="What waits for a reviewer",
    ),
    ChannelConfig(
        id="C0ESCALATE1",
        name="escalations",
        members=("U0REVIEWER1", "U0REVIEWER2"),
        purpose="What waited too long",
    ),
)
DEFAULT_USER_GROUPS = (
    UserGroupConfig(
        id="S0REVIEWERS",
        handle="payments-reviewers",
        name="Payments reviewers",
        users=("U0REVIEWER1", "U0REVIEWER2"),
    ),
)

DEFAULT_BOT_EVENTS = (
    "app_home_opened",
    "app_mention",
    "member_joined_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "subteam_members_changed",
    "user_change",
)


class SandboxConfig(_Frozen):
    """The whole workspace and the one app installed in it.

    `time_scale` multiplies the long waits (event retries after 0, 60 and 300 s; response URLs' 30 minutes;
    a socket's last seconds after a warning). `ack_seconds` and `trigger_seconds` are not scaled.
    `rate_limit_scale` multiplies how much Slack's tiers allow. `request_url` chooses HTTP mode, None Socket Mode.
    `slash_commands` None accepts any command. `agents` are names that the page offers after a mention.
    """

    team_id: TeamId = "T0SANDBOX"
    team_name: str = "Local workspace"
    team_domain: str = "local-workspace"
    app_id: str = "A0COUNTERSIGN"
    bot_id: str = "B0COUNTERSIGN"
    bot_user_id: UserId = "U0COUNTERSIGN"
    bot_name: str = "Countersign"
    bot_token: str = "xoxb-local-workspace"  # noqa: S105 - opens nothing but this process
    app_token: str = "xapp-local-workspace"  # noqa: S105
    signing_secret: str = "local-workspace-signing-secret"  # noqa: S105
    verification_token: str = "local-workspace"  # noqa: S105
    scopes: tuple[str, ...] = GRANTED_BY_DEFAULT
    bot_events: tuple[str, ...] = DEFAULT_BOT_EVENTS
    slash_commands: tuple[str, ...] | None = None
    request_url: str | None = None
    users: tuple[UserConfig, ...] = DEFAULT_USERS
    channels: tuple[ChannelConfig, ...] = DEFAULT_CHANNELS
    user_groups: tuple[UserGroupConfig, ...] = DEFAULT_USER_GROUPS
    scenarios: tuple[ScenarioConfig, ...] = ()
    agents: tuple[str, ...] = ()
    server_controls: bool = False
    rate_limits: bool = True
    rate_limit_scale: Annotated[float, Field(gt=0)] = 1.0
    time_scale: Annotated[float, Field(gt=0)] = 1.0
    ack_seconds: Annotated[float, Field(gt=0)] = 3.0
    trigger_seconds: Annotated[float, Field(gt=0)] = 3.0

    @model_validator(mode="after")
    def _references_exist(self) -> SandboxConfig:
        users = {user.id for user in self.users}
        channels = {channel.id for channel in self.channels}
        for channel in self.channels:
            for member in channel.members or ():
                if member not in users:
                    raise ValueError(f"channels: member {member} of {channel.name} is not among users")
        for group in self.user_groups:
            for member in group.users:
                if member not in users:
                    raise ValueError(f"user_groups: {member} of @{group.handle} is not among users")
        for scenario in self.scenarios:
            if scenario.user not in users or scenario.channel not in channels:
                raise ValueError(f"scenarios: {scenario.id} names a user or channel that is not configured")
        return self
