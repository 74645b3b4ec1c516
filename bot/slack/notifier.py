"""Shows approvals and executions in Slack: the outbox's port. Draws from state alone, so any door redraws a card."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from agent_runtime.core.canonical import digest
from agent_runtime.core.duration import MINUTE, SECOND
from agent_runtime.delivery.notifier import CUT, RENDERED, Notice, Place, Receipt, RetryAfter, Undeliverable
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING, EXECUTION_PROGRESS
from bot.slack.client import TOKEN_REFUSED, SlackAway, SlackClient, SlackRefused, metadata
from bot.slack.history import EVENT_TYPE, History, Marks
from bot.slack.places import places
from bot.ui.card import card, fits_on_card, minimal_card
from bot.ui.message import Message
from bot.ui.notes import note, warning
from bot.ui.progress import progress, result
from bot.ui.text import Workspace

log = structlog.get_logger(__name__)

POSTS_AT_ONCE = 4
SECONDS_BETWEEN_POSTS = 1.0
"""Slack takes about one message a second and channel, and short bursts (docs.slack.dev/apis/web-api/rate-limits)."""

KNOWN_WITHIN = 2.0
"""Seconds in which Slack usually has said whose bot this is."""

TRIES_REMEMBERED = 5_000
CLOCKS_APART = 10 * MINUTE
"""How far Slack's clock may be from ours when an earlier post is looked for."""

REFUSED_HERE = frozenset(
    {
        "access_denied",
        "app_access_restricted",
        "cannot_dm_bot",
        "cannot_reply_to_message",
        "cant_update_message",
        "channel_is_limited_access",
        "channel_not_found",
        "edit_window_closed",
        "ekm_access_denied",
        "is_archived",
        "is_inactive",
        "message_not_found",
        "messages_tab_disabled",
        "not_in_channel",
        "posting_to_channel_denied",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
        "team_not_found",
        "thread_not_found",
        "user_disabled",
        "user_not_found",
        "user_not_visible",
    }
)
"""Answers that speak about the place, so that another one may do; any other refusal is tried again and logged."""

REFUSED_CONTENT = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})


@dataclass(frozen=True, slots=True)
class Try:
    """What is known of one try to post. `perhaps_until`: it may have landed by then (monotonic); None: it did not."""

    attempt: int
    perhaps_until: float | None = None


class SlackNotifier:
    """See delivery.notifier.Notifier. `workspace` says where that is now, `clock` gives epoch microseconds."""

    name = "slack"
    burst = POSTS_AT_ONCE
    interval = SECONDS_BETWEEN_POSTS

    def __init__(
        self, client: SlackClient, workspace: Callable[[], Workspace], clock: Callable[[], int], known: asyncio.Event
    ) -> None:
        """`known` is set once Slack has said whose bot this is."""
        self._known = known
        self._client = client
        self._workspace = workspace
        self._clock = clock
        self._history = History(client, time.monotonic)
        self._tries: OrderedDict[Marks, Try] = OrderedDict()

    async def places(self, notice: Notice) -> Sequence[Place]:
        """Where it belongs now. Raises Undeliverable for a card that there is no place for."""
        found = places(notice)
        if notice.topic == APPROVAL_CARD and not found and not notice.card:
            raise Undeliverable(
                "no channel: set COUNTERSIGN_APPROVALS_CHANNEL, or a channel or reviewers (U…) on the tool's Approval"
            )
        return found

    async def post(self, notice: Notice, place: Place) -> Mapping[str, Any]:
        """Posts it; returns the place's address with the channel that Slack names and the message's "ts"."""
        channel, thread_ts = str(place.address["channel"]), str(place.address["thread_ts"])
        known = metadata(EVENT_TYPE, _marks(notice, place))
        key = tuple(known["event_payload"].values())
        self._remember(key, Try(notice.attempt))
        await self._require_workspace()
        message = self._drawn(notice, place)
        try:
            try:
                self._remember(key, Try(notice.attempt, perhaps_until=float("inf")))
                channel, ts = await self._client.post(channel, message, thread_ts=thread_ts or None, metadata=known)
            except SlackRefused as error:
                message = self._smaller(notice, place, error)
                channel, ts = await self._client.post(channel, message, thread_ts=thread_ts or None, metadata=known)
        except SlackRefused as error:
            self._remember(key, Try(notice.attempt))
            raise _as_failure(error) from error
        except SlackAway as error:
            self._remember(key, Try(notice.attempt, time.monotonic() if error.uncertain else None))
            raise _as_failure(error) from error
        self._remember(key, Try(notice.attempt, time.monotonic()))
        return {**place.address, "channel": channel, "ts": ts, **_rendered(notice, message)}

    async def update(self, notice: Notice, receipt: Receipt) -> Mapping[str, Any] | None:
        """Draws it anew in place; a pending card that somebody deleted is posted again."""
        channel, ts = str(receipt.receipt["channel"]), str(receipt.receipt["ts"])
        place = Place(receipt.place, channel, receipt.receipt)
        await self._require_workspace()
        message = self._drawn(notice, place)
        try:
            try:
                await self._client.update(channel, ts, message)
            except SlackRefused as error:
                if error.code == "message_not_found" and _is_open_card(notice):
                    return await self.post(notice, place)
                message = self._smaller(notice, place, error)
                await self._client.update(channel, ts, message)
        except (SlackRefused, SlackAway) as error:
            raise _as_failure(error) from error
        shown = _rendered(notice, message)
        return {**receipt.receipt, **shown} if shown else None

    async def find(self, notice: Notice, place: Place) -> Mapping[str, Any] | None:
        """Looks for a post whose record was lost, by its metadata."""
        marks = _marks(notice, place)
        channel, thread_ts = str(place.address["channel"]), str(place.address["thread_ts"])
        before = self._try_before(notice, tuple(marks.values()))
        if before.perhaps_until is None:
            return None
        try:
            if channel.startswith(("U", "W")):
                channel = await self._client.direct_message(channel)
            ts = await self._history.find(
                channel, thread_ts, marks, since=_since(notice), attempted_at=before.perhaps_until
            )
            return None if ts is None else {**place.address, "channel": channel, "ts": ts}
        except SlackRefused as error:
            log.info("slack: cannot look for an earlier post; posting anew", reason=str(error))
            return None
        except SlackAway as error:
            raise _as_failure(error) from error

    def _drawn(self, notice: Notice, place: Place) -> Message:
        workspace, now = self._workspace(), self._clock()
        if notice.topic == APPROVAL_CARD and notice.approval is not None:
            return card(notice.approval, workspace, now)
        if notice.topic == APPROVAL_NOTE and notice.approval is not None:
            for_requester = bool(place.address.get("for_requester"))
            return note(notice.event, notice.approval, workspace, now, for_requester=for_requester)
        if notice.topic == APPROVAL_WARNING and notice.approval is not None:
            return warning(notice.approval, workspace, now, place.address.get("extensions"))
        if notice.execution is None:
            raise Undeliverable(f"Slack shows no {notice.topic}")
        if notice.topic == EXECUTION_PROGRESS:
            here = str(place.address["channel"])
            waiting = {
                approval.approval_request_id: approval.policy.channel
                for approval in notice.execution.approvals
                if approval.policy.channel and approval.policy.channel != here
            }
            return progress(notice.execution, workspace, waiting)
        return result(notice.execution.execution, workspace)

    def _smaller(self, notice: Notice, place: Place, error: SlackRefused) -> Message:
        """What is shown where Slack does not take the blocks: never no card. Raises `error` where it is about else."""
        if error.code not in REFUSED_CONTENT:
            raise error
        log.error("slack: blocks refused; showing the smallest form", topic=notice.topic, reason=str(error))
        workspace = self._workspace()
        if notice.topic == APPROVAL_CARD and notice.approval is not None:
            return minimal_card(notice.approval, workspace)
        return Message(self._drawn(notice, place).text)

    async def _require_workspace(self) -> None:
        """A process that has just started knows it in a moment; what is put off waits for minutes, if it was before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(KNOWN_WITHIN):
                await self._known.wait()
        if not self._known.is_set():
            raise RetryAfter("Slack has not said yet whose bot this is", away=True)

    def _try_before(self, notice: Notice, key: Marks) -> Try:
        """The last try before this one; another process's, which is over by now, where it was not made here."""
        known = self._tries.get(key)
        if known is None or known.attempt != notice.attempt - 1:
            known = Try(notice.attempt - 1, time.monotonic())
            self._remember(key, known)
        return known

    def _remember(self, key: Marks, tried: Try) -> None:
        self._tries[key] = tried
        self._tries.move_to_end(key)
        while len(self._tries) > TRIES_REMEMBERED:
            self._tries.popitem(last=False)


def _marks(notice: Notice, place: Place) -> dict[str, str]:
    """What a message's metadata says of it, so that it can be found again."""
    return {"id": notice.subject, "topic": notice.topic, "event": notice.event, "place": place.key}


def _since(notice: Notice) -> float:
    """The earliest time, in epoch seconds, at which the notice may have been posted."""
    created = 0
    if notice.approval is not None:
        created = notice.approval.approval.created_at
    elif notice.execution is not None:
        created = notice.execution.execution.created_at
    return max(0, created - CLOCKS_APART) / SECOND


def _rendered(notice: Notice, message: Message) -> dict[str, Any]:
    """What the audit trail keeps of a card: the digest of its blocks, and whether a reader had to open more."""
    if notice.topic != APPROVAL_CARD or notice.approval is None:
        return {}
    whole = fits_on_card(notice.approval.approval)
    return {RENDERED: digest({"text": message.text, "blocks": [*message.blocks]}), CUT: not whole}


def _is_open_card(notice: Notice) -> bool:
    return notice.topic == APPROVAL_CARD and notice.approval is not None and notice.approval.approval.pending


def _as_failure(error: SlackRefused | SlackAway) -> RetryAfter | Undeliverable:
    if isinstance(error, SlackAway):
        return RetryAfter(str(error), error.seconds, away=True)
    if error.code in REFUSED_HERE:
        return Undeliverable(str(error))
    if error.code in TOKEN_REFUSED:  # which the client has said, once
        return RetryAfter(str(error), away=True)
    log.error("slack: refused; trying again later", reason=str(error))
    return RetryAfter(str(error))
