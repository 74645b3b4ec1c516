"""Who acts, as the authentication layer knows them, and through which door."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Via(StrEnum):
    """The door that a decision or a start came through; `system` is the runtime itself."""

    slack = "slack"
    api = "api"
    webhook = "webhook"
    dashboard = "dashboard"
    cli = "cli"
    sdk = "sdk"
    expiry = "expiry"
    system = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """One principal at one moment.

    `principal` is `slack:T…:U…`, `api:NAME`, `webhook:KEY`, `local:operator` or `system`. `identities` are all the
    names under which a reviewer list may mean this person (`U…`, `S…`, `@group`, e-mail, `api:NAME`), looked up by
    the door; a failed look-up leaves names out, so that it can only refuse. `operator` marks somebody who came
    through a trusted door: they may decide anything, unless `allowed_via` leaves their door out. `barred` is the
    reason why this principal may decide nothing (a guest, a bot, somebody deactivated or of another workspace).
    """

    principal: str
    identities: frozenset[str] = field(default_factory=frozenset)
    operator: bool = False
    asserted_by: str = ""
    barred: str = ""


SYSTEM = Actor("system", operator=True)
LOCAL_OPERATOR = Actor("local:operator", operator=True)
