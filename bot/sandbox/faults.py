"""Faults that tests and the page switch on with `POST /sandbox/api/faults`.

The body replaces all faults, so `{}` ends them. A fault on methods names one as `method`, or `*` for all (the
default); with `count` it ends by itself after so many calls. Several of a kind are given as a list.

| Fault | What happens |
|---|---|
| `lost_response {method, count?}` | the call takes effect, then the connection is cut; once by default |
| `slow {method, seconds, count?}` | the call is answered this much later |
| `status_5xx {method, status?, count?}` | the call does nothing and is answered 503 or `status`, without JSON |
| `rate_limited {method, retry_after?, count?}` | the call does nothing and is answered 429 with `Retry-After` |
| `archived [channel, …]` | these channels are archived as long as the fault is on |
| `revoked_token true` | the bot token is answered `token_revoked` |
| `drop_socket true` | every Socket Mode connection is cut at once, without a closing handshake |
| `disconnect REASON` | a disconnect frame (`warning`, `refresh_requested`, …) goes down every connection |
| `duplicate_events N` | each event is delivered 1 + N times, with the same event_id |
| `lost_events N` | the next N deliveries of events get lost on their way: only Slack's retry arrives |
| `delay_acks SECONDS` | the app's acks arrive this much later; past the limit they count as missing |
| `expired_trigger true` | trigger ids have expired when they arrive |

`drop_socket` and `disconnect` happen once, when they are posted; the others stay until replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

DisconnectReason = Literal["warning", "refresh_requested", "too_many_websockets", "link_disabled"]


class MethodFault(BaseModel):
    """Which calls it strikes. `count` is how many are left to strike, None is no end."""

    model_config = ConfigDict(extra="forbid")

    method: str = "*"
    count: Annotated[int, Field(ge=0)] | None = None

    def strike(self, method: str) -> bool:
        """Whether this call is struck; counts it if so."""
        if self.method not in ("*", method) or self.count == 0:
            return False
        if self.count is not None:
            self.count -= 1
        return True


class LostResponse(MethodFault):
    count: Annotated[int, Field(ge=0)] | None = 1


class Slow(MethodFault):
    seconds: Annotated[float, Field(ge=0, le=300)]


class Status5xx(MethodFault):
    status: Annotated[int, Field(ge=500, le=599)] = 503


class RateLimited(MethodFault):
    retry_after: Annotated[int, Field(ge=1)] = 30


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_F = TypeVar("_F", bound=MethodFault)
_Some = Annotated[list[_F], BeforeValidator(_as_list)]


class Faults(BaseModel):
    """All that is switched on. See the module's text for each."""

    model_config = ConfigDict(extra="forbid")

    lost_response: _Some[LostResponse] = []
    slow: _Some[Slow] = []
    status_5xx: _Some[Status5xx] = []
    rate_limited: _Some[RateLimited] = []
    archived: Annotated[list[str], BeforeValidator(_as_list)] = []
    revoked_token: bool = False
    drop_socket: bool = False
    disconnect: DisconnectReason | None = None
    duplicate_events: Annotated[int, Field(ge=0, le=10)] = 0
    lost_events: Annotated[int, Field(ge=0)] = 0
    delay_acks: Annotated[float, Field(ge=0, le=300)] = 0.0
    expired_trigger: bool = False

    def active(self) -> dict[str, Any]:
        """What is on, as it was posted."""
        return self.model_dump(exclude_defaults=True)

    def without_moments(self) -> Faults:
        """Those that stay: without what happens once, when it is posted."""
        return self.model_copy(update={"drop_socket": False, "disconnect": None})

    def loses_event(self) -> bool:
        """Whether this delivery of an event gets lost; counts it if so."""
        if self.lost_events == 0:
            return False
        self.lost_events -= 1
        return True


def struck(faults: Iterable[_F], method: str) -> _F | None:
    """The first of these faults that strikes a call of `method`."""
    return next((fault for fault in faults if fault.strike(method)), None)
