"""What an approved call runs with, for programs that run it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent_runtime.core.approval import status_in_words
from agent_runtime.errors import CollaborationError, Conflict, TimeoutError

Status = Literal["succeeded", "failed", "unknown"]


@dataclass(slots=True)
class Permit:
    """The right to run one approved call, once.

    `arguments` are what may run: the approver's edits are in them. Set `result` to any JSON value that is to be
    recorded; call `unknown` where nobody can say whether the call took effect: people are asked then.
    """

    approval: Mapping[str, Any]
    secret: str
    expires_at: str
    arguments: Mapping[str, Any]
    result: Any = None
    status: Status = "succeeded"

    @property
    def approval_request_id(self) -> str:
        return str(self.approval["approval_request_id"])

    def unknown(self, reason: str = "") -> None:
        """The call may have taken effect or not: it becomes in doubt at the end of the block."""
        self.status, self.result = "unknown", reason or None

    def __repr__(self) -> str:
        return f"Permit({self.approval_request_id!r}, expires_at={self.expires_at!r}, status={self.status!r})"

    def ended_by(self, error: BaseException) -> None:
        """What an exception in the block says: an error is a failure, an interruption leaves the outcome unknown."""
        if isinstance(error, Exception):
            self.status, self.result = "failed", f"{type(error).__name__}: {error}"
        else:
            self.unknown(f"interrupted: {type(error).__name__}")


def require_approved(approval: Mapping[str, Any]) -> None:
    """Passes an approval that may be claimed.

    Raises CollaborationError with the reviewer's words where it was refused, TimeoutError where nobody decided in time,
    Conflict while it is pending.
    """
    status, feedback = str(approval["status"]), str(approval.get("feedback") or "")
    if status == "approved":
        return
    if status == "expired":
        raise TimeoutError("nobody decided in time: the approval has expired")
    if status == "pending":
        raise Conflict("this approval is pending")
    words = f"{status_in_words(status)}{f': {feedback}' if feedback else ''}"
    raise CollaborationError(words, status=status, feedback=feedback)


def digest_of(approval: Mapping[str, Any]) -> str:
    """The digest to claim with: that of the approver's edits where there are any."""
    return str((approval.get("resolution") or {}).get("edited_digest") or approval["digest"])
