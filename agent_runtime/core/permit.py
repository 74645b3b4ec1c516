"""Permits: an outside agent's right to run what was approved, once. Pure.

A permit is made from the caller's attempt key and a salt of its own, so that the same key gets the same permit again
although neither is stored: the row holds the salt and a hash of the permit.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from enum import StrEnum
from typing import NamedTuple

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.duration import DAY, MINUTE

DEFAULT_LIFE = 15 * MINUTE
LONGEST_LIFE = DAY
"""How long a permit lasts: within it whoever holds it runs the call and says what became of it."""


class PermitStatus(StrEnum):
    """`claimed`: it may be running now; `in_doubt`: nobody knows; `not_happened` and `stopped`: a person said so."""

    claimed = "claimed"
    succeeded = "succeeded"
    failed = "failed"
    in_doubt = "in_doubt"
    not_happened = "not_happened"
    stopped = "stopped"


class Permit(NamedTuple):
    """One row of `permits`; the field order is the column order. Times in epoch microseconds, `result` as JSON text."""

    approval_request_id: str
    permit_hash: str
    salt: str
    principal: str
    digest: str
    status: str
    claimed_at: int
    expires_at: int
    ended_at: int | None = None
    result: str | None = None
    in_doubt_id: str | None = None
    fresh_id: str | None = None

    def secret(self, attempt_key: str) -> str | None:
        """The permit itself, where `attempt_key` is the key that it was made with."""
        made = permit_of(self.approval_request_id, attempt_key, self.salt)
        return made if self.is_for(made) else None

    def is_for(self, secret: str) -> bool:
        """Whether `secret` is this permit."""
        return hmac.compare_digest(hash_of(secret), self.permit_hash)


def permit_of(approval_request_id: str, attempt_key: str, salt: str) -> str:
    """The permit for this approval and attempt."""
    made = hmac.new(attempt_key.encode(), f"{salt}:{approval_request_id}".encode(), hashlib.sha256).digest()
    return "cp_" + base64.urlsafe_b64encode(made).decode().rstrip("=")


def hash_of(secret: str) -> str:
    """What is stored of a permit."""
    return hashlib.sha256(secret.encode()).hexdigest()


def digest_to_run(approval: ApprovalRequest) -> str:
    """The digest of what may run: that of the approver's edits where there are any."""
    return str((approval.resolution or {}).get("edited_digest") or approval.digest)
