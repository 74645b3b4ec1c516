"""Whether Slack lets the bot do its work: tokens, scopes, how it is reached, channels. Posts nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from bot.checks.finding import Finding, bad, good, note
from bot.manifest import SCOPES
from bot.settings import SlackSettings
from bot.slack.client import SlackAway, SlackClient, SlackRefused
from bot.slack.identity import Identity
from bot.slack.reviewers import check_reviewers

BOT_TOKEN = "Slack bot token"  # noqa: S105
APP_TOKEN = "Slack app token"  # noqa: S105
APP_SCOPE = "connections:write"

_INSTALL = "install the app again (Install App, in the app's settings) and copy the new token"
_REFUSED_TOKEN: Mapping[str, tuple[str, str]] = {
    "invalid_auth": ("Slack does not know it", "copy it again, whole, from the app's settings"),
    "not_authed": ("Slack has got none", "copy it again, whole, from the app's settings"),
    "not_allowed_token_type": ("it is a token of another kind", "copy the one that the setting's name says"),
    "token_revoked": ("it was revoked", _INSTALL),
    "account_inactive": ("the app was uninstalled, or the workspace closed", _INSTALL),
    "token_expired": ("it has expired", f"switch token rotation off (OAuth & Permissions), then {_INSTALL}"),
    "org_login_required": ("the workspace is being moved to an organisation", "wait until that is done"),
    "team_access_not_granted": ("the app may not use this workspace", "have an administrator grant it"),
}
_APP_ID = re.compile(r"xapp-\d+-(A[A-Z0-9]+)-", re.ASCII)


async def check_slack(settings: SlackSettings) -> list[Finding]:
    """What Slack says to the settings' tokens; without a bot token, how to set Slack up."""
    if settings.mode == "off":
        return [
            note(
                "Slack",
                "not configured: people decide over HTTP and the command line",
                "docs/slack.md, or `countersign manifest` for the app; then set SLACK_BOT_TOKEN and SLACK_APP_TOKEN",
            )
        ]
    client = SlackClient(settings)
    await client.open()
    try:
        return await _check(settings, client)
    finally:
        await client.close()


async def _check(settings: SlackSettings, client: SlackClient) -> list[Finding]:
    try:
        identity = Identity.of(await client.auth_test())
    except SlackRefused as error:
        return [refused_token(BOT_TOKEN, error)]
    except SlackAway as error:
        return [away(settings, error)]
    found = [good(BOT_TOKEN, f"the bot {identity.bot_user_id} of the workspace {identity.team} ({identity.team_id})")]
    found += check_scopes(identity)
    if settings.slack_app_token is not None:
        found += await _check_socket_mode(settings, client, identity)
    found += await _check_channel(client, "Slack approvals channel", settings.approvals_channel, identity)
    found += await _check_channel(client, "Slack escalation channel", settings.escalation_channel, identity)
    found += await check_reviewers(settings, client, identity)
    return found


def away(settings: SlackSettings, error: SlackAway) -> Finding:
    """Slack did not answer."""
    return bad(
        "Slack",
        f"{settings.slack_api_url} did not answer ({error})",
        "check the network, HTTPS_PROXY and slack-status.com; a running server goes on trying by itself",
    )


def refused_token(about: str, error: SlackRefused) -> Finding:
    """Slack refused a token."""
    if error.code == "missing_scope":
        return bad(about, f"it lacks the scope {error.needed or 'that this needs'}", "make one that has it")
    words, remedy = _REFUSED_TOKEN.get(error.code, ("Slack refused it", "see docs/slack.md"))
    return bad(about, f"{words} ({error})", remedy)


def check_scopes(identity: Identity) -> list[Finding]:
    """The token's scopes against those of the manifest, each missing one with what it is for."""
    about, granted = "Slack scopes", set(identity.scopes)
    if not granted:
        return [note(about, "Slack did not say which ones the token has")]
    missing = [
        bad(
            about,
            f"{scope} is missing: {purpose}",
            "OAuth & Permissions → Bot Token Scopes (or paste `countersign manifest` anew), then install the app again",
        )
        for scope, purpose in SCOPES.items()
        if scope not in granted
    ]
    spare = sorted(granted - set(SCOPES))
    if spare:
        missing.append(note(about, f"not needed: {', '.join(spare)}", "take them away, so that the token can do less"))
    return missing or [good(about, f"all {len(SCOPES)} that are needed, and no others")]


async def _check_socket_mode(settings: SlackSettings, client: SlackClient, identity: Identity) -> list[Finding]:
    try:
        await client.connection_url()
    except SlackRefused as error:
        if error.code == "missing_scope":
            return [
                bad(
                    APP_TOKEN,
                    f"it lacks the scope {APP_SCOPE}",
                    f"Basic Information → App-Level Tokens → Generate, with {APP_SCOPE}",
                )
            ]
        return [refused_token(APP_TOKEN, error)]
    except SlackAway as error:
        return [away(settings, error)]
    return [await _check_same_app(settings, client, identity)]


async def _check_same_app(settings: SlackSettings, client: SlackClient, identity: Identity) -> Finding:
    """An app token of another app would connect, and no click would ever arrive."""
    opens = good(APP_TOKEN, "Socket Mode opens")
    token = "" if settings.slack_app_token is None else settings.slack_app_token.get_secret_value()
    named = _APP_ID.match(token)
    if named is None or not identity.bot_id:
        return opens
    try:
        app = await client.app_of_bot(identity.bot_id)
    except (SlackRefused, SlackAway) as error:
        return note(APP_TOKEN, f"Socket Mode opens; whether both tokens are of one app is not known ({error})")
    if app and app != named[1]:
        return bad(
            APP_TOKEN,
            f"it belongs to the app {named[1]}, the bot token to {app}: clicks would never arrive",
            "copy both tokens from the settings of one app",
        )
    return opens


async def _check_channel(client: SlackClient, about: str, channel: str, identity: Identity) -> list[Finding]:
    """Whether cards can be shown there, as far as reading tells; a question for messages newer than now gets none."""
    if not channel:
        return []
    try:
        await client.history(channel, thread_ts=None, oldest=f"{time.time():.6f}")
    except SlackRefused as error:
        return [_refused_channel(about, channel, identity, error)]
    except SlackAway as error:
        return [note(about, f"{channel} could not be looked at ({error})", "run this again in a moment")]
    return [good(about, f"{channel}: the bot is a member")]


def _refused_channel(about: str, channel: str, identity: Identity, error: SlackRefused) -> Finding:
    invite = f"invite the bot there: /invite @Countersign (its user is {identity.bot_user_id})"
    if error.code == "not_in_channel":
        if "chat:write.public" in identity.scopes:
            return note(
                about,
                f"the bot may post to {channel}, but is not a member: after a crash a card may come twice",
                invite,
            )
        return bad(about, f"the bot is not a member of {channel}, so it cannot post there", invite)
    if error.code == "channel_not_found":
        return bad(
            about,
            f"{channel} does not exist, or is private and the bot is not in it",
            f"correct the id (at the end of the channel's details), or {invite}",
        )
    if error.code == "missing_scope":
        return note(about, f"{channel} could not be looked at: the scope {error.needed} is missing")
    return bad(about, f"{channel} cannot be used ({error})", "name another channel")
