"""Every error that Countersign raises on purpose: one base, one table.

The class says what a surface needs: `status` (HTTP), `exit_status` (command line) and `slug` (the problem type of
RFC 9457, `urn:countersign:problem:SLUG`). The docstring is the message where none is given. Surfaces map the base once
and never match on text.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, ClassVar


class CountersignError(Exception):
    """Countersign could not do this."""

    status: ClassVar[int] = 500
    exit_status: ClassVar[int] = 1
    slug: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        self.details = details
        self.leaves: Callable[[Any], None] | None = None
        """What a refusal writes although everything else is rolled back: a function of the transaction."""
        super().__init__(self.message)


# --- what the caller asked for -------------------------------------------------------------------------------------


class InvalidRequest(CountersignError):
    """The request is malformed."""

    status, exit_status, slug = 422, 2, "invalid-request"


class InvalidSetting(CountersignError):
    """A setting has a value that cannot be used."""

    status, exit_status, slug = 500, 2, "invalid-setting"


class InvalidDefinition(CountersignError):
    """An agent or tool is defined in a way that cannot run."""

    status, exit_status, slug = 422, 2, "invalid-definition"


class NotAuthenticated(CountersignError):
    """Who is asking is not known."""

    status, slug = 401, "not-authenticated"


class NotAuthorized(CountersignError):
    """This principal may not do that."""

    status, slug = 403, "not-authorized"


class NotFound(CountersignError):
    """Nothing has that id."""

    status, slug = 404, "not-found"


class LostInRestore(NotFound):
    """This was made after the backup that the database was restored from, and is lost."""

    slug = "lost-in-restore"


class Conflict(CountersignError):
    """The request contradicts what is recorded."""

    status, slug = 409, "conflict"


class AlreadyResolved(Conflict):
    """The approval was resolved before."""

    slug = "already-resolved"


class ApprovalExpired(Conflict):
    """The approval has expired; nothing runs."""

    slug = "expired"


class StaleDigest(Conflict):
    """What was shown is not what the approval holds now; look again before deciding."""

    slug = "stale-digest"


class AmbiguousApproval(Conflict):
    """Several approvals are pending; name one with approval_request_id."""

    slug = "ambiguous-approval"


# --- how an execution ends ------------------------------------------------------------------------------------------


class CollaborationError(CountersignError):
    """rejected"""

    status, slug = 409, "collaboration"


class TimeoutError(CountersignError, builtins.TimeoutError):
    """Nobody decided in time."""

    status, slug = 409, "timeout"


class NonDeterminism(CountersignError):
    """A replayed reasoner asked for something else than its journal holds."""

    slug = "non-determinism"


# --- the runtime and what it stands on --------------------------------------------------------------------------------


class StepFailed(CountersignError):
    """A durable step, or a child execution, failed; `details` hold the type and the message."""

    slug = "step-failed"


class Stopped(CountersignError):
    """An operator has stopped this; it waits until they resume it."""

    status, slug = 409, "stopped"


class LostClaim(CountersignError):
    """Another worker holds this execution now; this one's writes are refused."""

    status, slug = 409, "lost-claim"


class RuntimeClosed(CountersignError):
    """This runtime is closed; open another one, or use it inside its `with` block."""

    status, slug = 503, "runtime-closed"


class WrongLoop(CountersignError, RuntimeError):
    """This would block the event loop that it needs; use the method of the same name with `_async`."""

    slug = "wrong-loop"


class Overloaded(CountersignError):
    """Too much is waiting to be written; try again in a moment."""

    status, slug = 503, "overloaded"


class StoreUnavailable(CountersignError):
    """The database cannot be reached or refused the work."""

    status, slug = 503, "store-unavailable"


class ServerUnavailable(CountersignError):
    """The server cannot be reached, or what answers there is not Countersign."""

    status, slug = 503, "server-unavailable"


class SchemaMismatch(CountersignError):
    """The database's schema is not the one this version needs."""

    status, slug = 503, "schema-mismatch"


class ModelUnavailable(CountersignError):
    """The model's service did not answer; the execution is tried again later."""

    status, slug = 503, "model-unavailable"


class ModelRefused(CountersignError):
    """The model's service refused the request."""

    status, slug = 502, "model-refused"


class ToolTimedOut(CountersignError, builtins.TimeoutError):
    """The tool ran longer than its time limit."""

    status, slug = 504, "tool-timed-out"
