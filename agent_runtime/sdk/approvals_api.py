"""Approvals over HTTP: look, decide, settle; and for programs that run what was approved: ask, wait, claim, report."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from agent_runtime.core.ids import approval_request_id as new_id
from agent_runtime.errors import CountersignError, TimeoutError
from agent_runtime.sdk.permits import Permit, Status, digest_of, require_approved
from agent_runtime.sdk.transport import Answer, Transport, may_pass, part

LONGEST_POLL = 50.0
"""Seconds of one long poll; `wait` polls again and again."""

LOOK_AGAIN, AWAY_AT_MOST = 2.0, 300.0
"""Seconds between looks while the server is away, and for how long `wait` believes that it comes back."""

APPROVALS = "/api/v1/approvals"


class ApprovalsApi:
    """The part of `AsyncClient` that is about approvals."""

    _http: Transport

    async def approvals(
        self, *, status: str | None = None, kind: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Answer:
        """A page of approvals, newest first, pending ones oldest first: {"items": […], "next_cursor": …}."""
        return await self._http.read(APPROVALS, status=status, kind=kind, limit=limit, cursor=cursor)

    async def approval(self, approval_request_id: str, *, wait_seconds: float = 0) -> Answer:
        """One approval, at once or when it is decided, after `wait_seconds` (60 at most) as it is then."""
        return await self._http.read(f"{APPROVALS}/{part(approval_request_id)}", wait=wait_seconds or None)

    async def decide(
        self,
        approval_request_id: str,
        decision: str,
        feedback: str = "",
        *,
        edited_arguments: Mapping[str, Any] | None = None,
        digest: str | None = None,
    ) -> Answer:
        """Decides: "approved", "rejected" or "request_changes". The same again changes nothing
        (`already_processed`); `digest` is that of what was shown, so that a stale decision is refused.
        """
        body: dict[str, Any] = {"decision": decision, "feedback": feedback}
        body |= {} if edited_arguments is None else {"edited_arguments": dict(edited_arguments)}
        body |= {} if digest is None else {"digest": digest}
        return await self._http.send(f"{APPROVALS}/{part(approval_request_id)}/decision", body)

    async def settle(self, approval_request_id: str, outcome: str, *, result: Any = None, evidence: str = "") -> Answer:
        """Says what became of a call in doubt: "happened" (with its result), "not_happened" or "stop"."""
        body: dict[str, Any] = {"outcome": outcome, "evidence": evidence}
        body |= {"result": result} if outcome == "happened" else {}
        return await self._http.send(f"{APPROVALS}/{part(approval_request_id)}/settle", body)

    async def ask(
        self,
        title: str,
        *,
        tool_name: str = "",
        arguments: Mapping[str, Any] | None = None,
        preview: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        requested_by: str = "",
        reviewers: Sequence[str] | None = None,
        quorum: int | None = None,
        risk: Literal["normal", "high"] | None = None,
        expires_in_hours: float | None = None,
        url: str = "",
        callback_url: str = "",
        approval_request_id: str | None = None,
    ) -> Answer:
        """Asks people about a call that this program runs itself; returns the approval, pending.

        With an `approval_request_id` of your own the same request, made again by a restarted program, returns the first
        approval; another request under that id raises Conflict. What is left out is up to the server's policy.
        """
        body = {
            "approval_request_id": approval_request_id or new_id(time.time_ns() // 1000),
            "title": title,
            "tool_name": tool_name,
            "arguments": dict(arguments or {}),
            "preview": None if preview is None else dict(preview),
            "context": None if context is None else dict(context),
            "requested_by": requested_by,
            "reviewers": None if reviewers is None else list(reviewers),
            "quorum": quorum,
            "risk": risk,
            "expires_in_hours": expires_in_hours,
            "url": url,
            "callback_url": callback_url,
        }
        return await self._http.send(APPROVALS, {name: value for name, value in body.items() if value is not None})

    async def wait(self, approval_request_id: str, timeout_seconds: float | None = None) -> Answer:
        """The approval once it is decided or over, whatever the verdict.

        A server that is away meanwhile, such as for a restart, is waited for. Raises TimeoutError where it takes longer
        than `timeout_seconds` (None: as long as it takes), ServerUnavailable where the server stays away for minutes.
        """
        clock = asyncio.get_running_loop().time
        end = None if timeout_seconds is None else clock() + timeout_seconds
        seen = clock()
        while True:
            left = LONGEST_POLL if end is None else min(LONGEST_POLL, max(0.0, end - clock()))
            try:
                approval = await self.approval(approval_request_id, wait_seconds=left)
            except CountersignError as error:
                if not may_pass(error) or clock() >= min(seen + AWAY_AT_MOST, end or math.inf):
                    raise
                await asyncio.sleep(LOOK_AGAIN)
                continue
            seen = clock()
            if approval["status"] != "pending":
                return approval
            if end is not None and clock() >= end:
                raise TimeoutError(f"{approval_request_id} is still pending after {timeout_seconds:g} s")

    async def claim(
        self, approval_request_id: str, *, digest: str, attempt_key: str, runs_for_seconds: int | None = None
    ) -> Answer:
        """Claims an approved request, once: {"permit", "expires_at", "arguments"}; the same key gets the same again.

        Report the result by `expires_at` (`runs_for_seconds` from now, 15 minutes by default), or it is in doubt.
        """
        body: dict[str, Any] = {"digest": digest, "attempt_key": attempt_key}
        body |= {} if runs_for_seconds is None else {"runs_for_seconds": runs_for_seconds}
        return await self._http.send(f"{APPROVALS}/{part(approval_request_id)}/claim", body)

    async def report_result(
        self, approval_request_id: str, permit: str, status: Status = "succeeded", result: Any = None
    ) -> Answer:
        """Says what became of a claimed call; "unknown" asks people."""
        body = {"permit": permit, "status": status, "result": result}
        return await self._http.send(f"{APPROVALS}/{part(approval_request_id)}/result", body)

    @asynccontextmanager
    async def approved(
        self,
        approval: str | Mapping[str, Any],
        *,
        timeout_seconds: float | None = None,
        attempt_key: str | None = None,
        runs_for_seconds: int | None = None,
    ) -> AsyncIterator[Permit]:
        """Waits for `approval` (what `ask` returned, or its id), claims it, and reports how the block ended.

        An exception in the block is reported as a failure and raised on; an interruption leaves the outcome unknown,
        and people are asked. With an `attempt_key` of your own a restarted program gets its permit again; without, a
        call that was claimed before is not run a second time.

        Raises CollaborationError with the reviewer's words where it was refused, TimeoutError where nobody decided in
        time, Conflict where it was claimed before (with your own key: where that run has ended, or is in doubt).
        """
        wanted = approval if isinstance(approval, str) else str(approval["approval_request_id"])
        decided = await self.wait(wanted, timeout_seconds)
        require_approved(decided)
        claimed = await self.claim(
            wanted,
            digest=digest_of(decided),
            attempt_key=attempt_key or secrets.token_urlsafe(24),
            runs_for_seconds=runs_for_seconds,
        )
        permit = Permit(decided, claimed["permit"], claimed["expires_at"], claimed["arguments"])
        try:
            yield permit
        except BaseException as error:
            permit.ended_by(error)
            raise
        finally:
            await self.report_result(wanted, permit.secret, permit.status, permit.result)

    async def approval_events(self, approval_request_id: str, *, limit: int = 50, cursor: str | None = None) -> Answer:
        """A page of what happened to an approval, oldest first: who, when, through which door, and why."""
        return await self._http.read(f"{APPROVALS}/{part(approval_request_id)}/events", limit=limit, cursor=cursor)
