"""The OpenAPI document against what is served."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from aiohttp import web

from agent_runtime.web.app import ENDPOINTS
from agent_runtime.web.authentication import PUBLIC_PATHS
from tests.web.conftest import AGENT, Api, Serve, World


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    return (await api.get("/openapi.json")).json


async def test_it_lists_every_route_and_no_other(api: Api, document: dict[str, Any]) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in api.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    listed = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert listed == served
    assert len(listed) == len(ENDPOINTS)


async def test_a_surface_s_routes_are_its_own(serve: Serve) -> None:
    async def slack(request: web.Request) -> web.Response:
        return web.Response()

    api = await serve(routes=[web.post("/slack/events", slack)])
    assert "/slack/events" not in (await api.get("/openapi.json")).json["paths"]
    assert (await api.post("/slack/events")).status == 200


async def test_references_hold_and_operations_are_whole(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in schemas
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert any(status.startswith(("2", "3")) for status in operation["responses"])
    for path, item in document["paths"].items():
        for operation in item.values():
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}
            if path not in PUBLIC_PATHS:
                assert operation["security"][0].keys() == {"token"}
                assert "401" in operation["responses"]


async def test_answers_are_as_documented(api: Api, world: World, document: dict[str, Any]) -> None:
    approval = await world.waiting(reviewers=("U1",))
    about = f"/api/v1/approvals/{approval.approval_request_id}"
    execution = f"/api/v1/executions/{approval.execution_id}"
    walk = [
        ("POST", "/api/v1/execute/async/{target}", f"/api/v1/execute/async/{AGENT}", {"prompt": "x"}),
        ("POST", "/api/v1/execute/async/{target}", "/api/v1/execute/async/nobody", {"prompt": "x"}),
        ("GET", "/api/v1/executions", "/api/v1/executions", None),
        ("GET", "/api/v1/executions/{execution_id}", execution, None),
        ("GET", "/api/v1/approvals", "/api/v1/approvals?limit=x", None),
        ("GET", "/api/v1/approvals", "/api/v1/approvals?status=pending", None),
        ("GET", "/api/v1/approvals/{approval_request_id}", about, None),
        ("POST", "/api/v1/approvals/{approval_request_id}/decision", f"{about}/decision", {"decision": "approved"}),
        ("POST", "/api/v1/approvals/{approval_request_id}/decision", f"{about}/decision", {"decision": "rejected"}),
        ("GET", "/api/v1/approvals/{approval_request_id}/events", f"{about}/events", None),
        ("POST", "/api/v1/executions/{execution_id}/cancel", f"{execution}/cancel", None),
        ("GET", "/readyz", "/readyz", None),
        ("GET", "/healthz", "/healthz", None),
    ]
    for method, template, path, body in walk:
        answer = await api.send(method, path, data=None if body is None else json.dumps(body))
        responses = document["paths"][template][method.lower()]["responses"]
        assert str(answer.status) in responses, (path, answer.status)
        content = responses[str(answer.status)]["content"]
        media_type = answer.headers["Content-Type"].split(";")[0]
        schema = content[media_type]["schema"] | {"components": document["components"]}
        jsonschema.validate(answer.json, schema, cls=jsonschema.Draft202012Validator)
