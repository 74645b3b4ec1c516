"""The OpenAPI 3.1 document, made from the same table and models as the routes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agent_runtime.web.answers import Problem
from agent_runtime.web.authentication import PUBLIC_PATHS, Identity
from agent_runtime.web.endpoint import AnyEndpoint, Endpoint, nothing
from agent_runtime.web.forms import FORM
from agent_runtime.web.problems import MEDIA_TYPE

_PLACES = {
    "target": "an agent's name, or `agent.reasoner`",
    "execution_id": "an execution's id",
    "approval_request_id": "an approval's id",
    "request_id": "an approval's id",
}


class Document:
    """The document of `endpoints`; written when it is first asked for, as few servers are and it takes a while."""

    def __init__(self, endpoints: Sequence[AnyEndpoint]) -> None:
        self._endpoints = endpoints

    @cached_property
    def text(self) -> str:
        """As JSON."""
        return _written(self._endpoints)


DOCUMENT = web.AppKey("openapi", Document)


async def shown(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    return web.Response(text=request.app[DOCUMENT].text, content_type="application/json")


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/openapi.json",
        summary="This document",
        find=nothing,
        scope=None,
        answer=shown,
        answers={200: "application/json"},
    ),
)


def document(endpoints: Sequence[AnyEndpoint]) -> Document:
    """The document of `endpoints`."""
    return Document(endpoints)


def _written(endpoints: Sequence[AnyEndpoint]) -> str:
    schemas = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return json.dumps(
        {
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": {
                "title": "Countersign",
                "version": version("countersign"),
                "description": "Approvals for what AI agents do. Errors are problem documents (RFC 9457).",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "a token of `countersign tokens create`; while there is none, "
                        "this machine's own requests are served without",
                    },
                },
            },
        },
        ensure_ascii=False,
    )


def _schemas(endpoints: Sequence[AnyEndpoint]) -> dict[str, Any]:
    received: set[type[BaseModel]] = {endpoint.body for endpoint in endpoints if endpoint.body is not None}
    answers = [model for endpoint in endpoints for model in endpoint.answers.values()]
    sent: set[type[BaseModel]] = {model for model in answers if not isinstance(model, str)}
    modes: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((model, "validation") for model in sorted(received, key=lambda model: model.__name__)),
        *((model, "serialization") for model in sorted(sent | {Problem}, key=lambda model: model.__name__)),
    ]
    _, definitions = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas


def _operation(endpoint: AnyEndpoint) -> dict[str, Any]:
    public = endpoint.path in PUBLIC_PATHS
    statuses = sorted({*endpoint.refusals, *(() if public else (401, 503))} - set(endpoint.answers))
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint),
        "responses": {
            **{str(status): _answer(status, model) for status, model in endpoint.answers.items()},
            **{str(status): _refusal(status) for status in statuses},
        },
        "security": [] if public else [{"token": [endpoint.scope.value] if endpoint.scope is not None else []}],
    }
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": not endpoint.body_optional,
            "content": {
                media_type: {"schema": _reference(endpoint.body)}
                for media_type in ("application/json", *((FORM,) if endpoint.browser else ()))
            },
        }
    return operation


def _operation_id(endpoint: AnyEndpoint) -> str:
    words = re.findall(r"[A-Za-z]+", endpoint.path.removeprefix("/api/v1"))
    return "_".join([endpoint.method.lower(), *words])


def _parameters(endpoint: AnyEndpoint) -> list[dict[str, Any]]:
    text = {"type": "string"}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text, "description": _PLACES[name]}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    if endpoint.query is not None:
        for name, schema in endpoint.query.model_json_schema()["properties"].items():
            described = schema.pop("description", "")
            parameters.append({"name": name, "in": "query", "schema": schema, "description": described})
    parameters += [
        {"name": name, "in": "header", "schema": text, "description": meaning}
        for name, meaning in endpoint.headers.items()
    ]
    return parameters


def _answer(status: int, model: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(model, str):
        return {"description": HTTPStatus(status).phrase, **({"content": {model: {}}} if model else {})}
    described = " ".join((model.__doc__ or "").split())
    return {"description": described, "content": {"application/json": {"schema": _reference(model)}}}


def _refusal(status: int) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _reference(Problem)}}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
