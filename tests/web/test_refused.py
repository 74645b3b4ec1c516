"""The audit trail also holds who tried what over HTTP and may not."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from tests.web.conftest import Api, Serve, World
from tests.web.test_webhook import body_of, send, signature

pytestmark = pytest.mark.databases("sqlite")

APPROVALS = "/api/v1/approvals"


async def refusals(world: World, approval_request_id: str) -> list[tuple[str, str]]:
    """Who was refused, and at which door."""
    rows = await world.database.all(EVENTS_OF_APPROVAL, b_approval=approval_request_id, b_after=0, b_limit=50)
    return [(row.principal, row.via) for row in rows if row.type == "approval.refused"]


def attempts(approval: ApprovalRequest) -> dict[str, dict[str, Any]]:
    name = approval.approval_request_id
    return {
        f"{APPROVALS}/{name}/decision": {"decision": "approved"},
        f"{APPROVALS}/{name}/settle": {"outcome": "stop"},
        f"/approve/{name}": {"decision": "approved"},
        f"/reviews/{name}/settle": {"outcome": "stop"},
    }


@pytest.mark.parametrize(
    ("scopes", "options", "by"),
    [
        (["read", "decide"], {"stands_for": "slack:T1:U9"}, "slack:T1:U9"),  # no reviewer of it
        (["read"], {}, "api:dana"),  # may not decide at all
    ],
)
async def test_who_may_not_decide(api: Api, world: World, scopes: list[str], options: Any, by: str) -> None:
    approval = await world.waiting(reviewers=("U2",))
    token = await world.token(*scopes, name="dana", **options)
    for path, body in attempts(approval).items():
        assert (await api.post(path, body, headers=token)).status == 403, path
    assert (await world.approval(approval)).pending
    assert await refusals(world, approval.approval_request_id) == [(by, "api")] * 4


async def test_from_a_page_it_is_the_dashboard(api: Api, world: World) -> None:
    approval = await world.waiting()
    path = f"/approve/{approval.approval_request_id}"
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert (await api.post(path, {"decision": "approved"}, headers=headers)).status == 403  # without the page's token
    assert await refusals(world, approval.approval_request_id) == [("local:operator", "dashboard")]


async def test_who_may_not_use_it(api: Api, world: World) -> None:
    asker = await world.token("start", name="asker")
    other = await world.token("start", name="other")
    asked = (await api.post(APPROVALS, {"title": "May I?"}, headers=asker)).json
    path = f"{APPROVALS}/{asked['approval_request_id']}"
    for verb, body in (("claim", {"digest": asked["digest"], "attempt_key": "k"}), ("result", {"permit": "cp_x"})):
        assert (await api.post(f"{path}/{verb}", body, headers=other)).status == 403
    assert await refusals(world, asked["approval_request_id"]) == [("api:other", "api")] * 2


async def test_a_webhook_at_a_door_that_is_closed(serve: Serve, world: World) -> None:
    api = await serve()
    approval = await world.waiting(allowed_via=("slack",))
    body = body_of(approval)
    assert (await send(api, body, signature(body))).status == 403
    assert await refusals(world, approval.approval_request_id) == [("webhook:approval-response", "webhook")]
