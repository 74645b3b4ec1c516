"""Outside agents use their approvals: `POST …/claim` and `POST …/result`."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.core.duration import HOUR, rfc3339
from agent_runtime.operations.sweep import sweep
from tests.web.conftest import Api, World

APPROVALS = "/api/v1/approvals"


async def approved(api: Api, **kwargs: Any) -> dict[str, Any]:
    body = {"title": "Refund", "tool_name": "refund", "arguments": {"amount": 250, "api_key": "sk-1"}}
    asked = (await api.post(APPROVALS, body, **kwargs)).json
    await api.post(f"{APPROVALS}/{asked['approval_request_id']}/decision", {"decision": "approved"}, **kwargs)
    return asked | {"path": f"{APPROVALS}/{asked['approval_request_id']}"}


async def test_claim_run_and_report(api: Api, world: World) -> None:
    asked = await approved(api)
    body = {"digest": asked["digest"], "attempt_key": "k-1"}
    claimed = await api.post(f"{asked['path']}/claim", body)
    assert claimed.status == 200
    assert claimed.json["arguments"] == {"amount": 250, "api_key": "sk-1"}
    assert claimed.json["expires_at"] > (rfc3339(world.clock.now) or "")
    assert (await api.post(f"{asked['path']}/claim", body)).json == claimed.json
    other = await api.post(f"{asked['path']}/claim", body | {"attempt_key": "k-2"})
    assert (other.status, other.json["detail"].split(":")[0]) == (409, "attempt_key")
    report = {"permit": claimed.json["permit"], "status": "succeeded", "result": {"id": 7, "token": "t"}}
    done = await api.post(f"{asked['path']}/result", report)
    assert (done.status, done.json["status"], done.json["result"]) == (
        200,
        "succeeded",
        {"id": 7, "token": "[redacted]"},
    )
    assert (await api.post(f"{asked['path']}/result", report)).status == 200
    assert (await api.post(f"{asked['path']}/result", report | {"status": "failed"})).status == 409
    shown = await api.get(asked["path"])
    assert shown.json["permit"] == done.json
    assert claimed.json["permit"] not in shown.text
    events = (await api.get(f"{asked['path']}/events")).json["items"]
    assert [event["type"] for event in events][-2:] == ["approval.claimed", "approval.ran"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"digest": "sha256:0"}, 409),
        ({"digest": None}, 422),
        ({"attempt_key": ""}, 422),
        ({"runs_for_seconds": 0}, 422),
        ({"more": 1}, 422),
    ],
)
async def test_claims_that_are_refused(api: Api, change: dict[str, Any], status: int) -> None:
    asked = await approved(api)
    body = {"digest": asked["digest"], "attempt_key": "k-1"} | change
    given = {name: value for name, value in body.items() if value is not None}
    assert (await api.post(f"{asked['path']}/claim", given)).status == status


async def test_results_that_are_refused(api: Api) -> None:
    asked = await approved(api)
    good = {"permit": "cp_x", "status": "succeeded"}
    assert (await api.post(f"{asked['path']}/result", good)).status == 409
    await api.post(f"{asked['path']}/claim", {"digest": asked["digest"], "attempt_key": "k-1"})
    assert (await api.post(f"{asked['path']}/result", good)).status == 403
    assert (await api.post(f"{asked['path']}/result", good | {"status": "maybe"})).status == 422
    assert (await api.post(f"{APPROVALS}/apr_none/result", good)).status == 404


async def test_what_the_runtime_runs_itself_is_not_claimed(api: Api, world: World) -> None:
    approval = await world.waiting()
    body = {"digest": approval.digest, "attempt_key": "k"}
    assert (await api.post(f"{APPROVALS}/{approval.approval_request_id}/claim", body)).status == 422


async def test_claiming_needs_start_and_is_for_who_asked(api: Api, world: World) -> None:
    asker = await world.token("start", name="asker")
    other = await world.token("start", name="other")
    reader = await world.token("read", "decide", name="reader")
    asked = (await api.post(APPROVALS, {"title": "May I?"}, headers=asker)).json
    path = f"{APPROVALS}/{asked['approval_request_id']}"
    body = {"digest": asked["digest"], "attempt_key": "k"}
    assert (await api.post(f"{path}/claim", body, headers=asker)).status == 409
    await api.post(f"{path}/decision", {"decision": "approved"}, headers=reader)
    assert (await api.post(f"{path}/claim", body, headers=reader)).status == 403
    assert (await api.post(f"{path}/claim", body, headers=other)).status == 403
    assert (await api.post(f"{path}/claim", body, headers=asker)).status == 200


async def test_a_person_settles_what_was_never_reported(api: Api, world: World) -> None:
    asked = await approved(api)
    claim = {"digest": asked["digest"], "attempt_key": "k", "runs_for_seconds": 3600}
    await api.post(f"{asked['path']}/claim", claim)
    await world.clock.advance(HOUR)
    await world.database.write(sweep)
    (doubt,) = (await api.get(f"{APPROVALS}?status=pending&kind=in_doubt")).json["items"]
    assert (await api.get(asked["path"])).json["permit"]["in_doubt"] == doubt["approval_request_id"]
    path = f"{APPROVALS}/{doubt['approval_request_id']}"
    assert (await api.post(f"{path}/decision", {"decision": "approved"})).status == 422
    settled = await api.post(f"{path}/settle", {"outcome": "happened", "result": 7, "evidence": "ledger"})
    assert settled.status == 200
    permit = (await api.get(asked["path"])).json["permit"]
    assert (permit["status"], permit["result"]) == ("succeeded", 7)
