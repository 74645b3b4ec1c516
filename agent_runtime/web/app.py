"""The aiohttp application: resources, what guards them, and what ends with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from agent_runtime.agent import Agent
from agent_runtime.core.policy import Defaults
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from agent_runtime.web import (
    approvals,
    asking,
    assets,
    consuming,
    csrf,
    events,
    execute,
    executions,
    feed,
    health,
    metrics,
    openapi,
    pending,
    reviews,
    signing_in,
    switches,
    webhook,
)
from agent_runtime.web.access_log import access_log
from agent_runtime.web.authentication import DATABASE, PEOPLE, People, authentication, nobody_known
from agent_runtime.web.bodies import MAX_BYTES
from agent_runtime.web.connections import CONNECTIONS, Connections, as_many_as_files_allow, connections
from agent_runtime.web.endpoint import AnyEndpoint
from agent_runtime.web.headers import add_headers
from agent_runtime.web.pages import refusals_as_pages
from agent_runtime.web.problems import problems
from agent_runtime.web.signatures import WebhookKeys
from agent_runtime.web.waiting import WAITING, Waiting, stop_waiting

ENDPOINTS: tuple[AnyEndpoint, ...] = (
    *execute.ENDPOINTS,
    *executions.ENDPOINTS,
    *approvals.ENDPOINTS,
    *asking.ENDPOINTS,
    *consuming.ENDPOINTS,
    *events.ENDPOINTS,
    *webhook.ENDPOINTS,
    *switches.ENDPOINTS,
    *health.ENDPOINTS,
    *metrics.ENDPOINTS,
    *openapi.ENDPOINTS,
    *pending.ENDPOINTS,
    *reviews.ENDPOINTS,
    *feed.ENDPOINTS,
    *signing_in.ENDPOINTS,
    *assets.ENDPOINTS,
)


def create_app(
    database: Database,
    settings: Settings,
    *,
    defaults: Defaults | None = None,
    routes: Sequence[web.RouteDef] = (),
    status: Callable[[], Mapping[str, Any]] = dict,
    people: People = nobody_known,
    calls: metrics.Calls = dict,
    agents: Mapping[str, Agent] | None = None,
) -> web.Application:
    """The HTTP API on an open database.

    `defaults` are the environment's answers for what outsiders ask. `routes` are added by surfaces (such as
    `/slack/events`); `status` is what /readyz lists beside its own checks (`worker` False: this server's worker has
    ended); `people` knows those whom surfaces show approvals to; `calls` counts what surfaces asked of their services,
    for /metrics; `agents` are those that this process runs, whose tools check edited arguments. Serve it with
    `AppRunner(app, access_log=None)`: it logs its own requests. Raises InvalidSetting for a webhook secret that cannot
    be used.
    """
    app = web.Application(
        client_max_size=MAX_BYTES, middlewares=[connections, access_log, problems, refusals_as_pages, authentication]
    )
    app[CONNECTIONS] = Connections(as_many_as_files_allow())
    app[DATABASE] = database
    app[PEOPLE] = people
    app[approvals.AGENTS] = agents or {}
    app[WAITING] = Waiting()
    app[feed.LOOKS] = feed.Looks(database)
    app[csrf.PUBLIC_URL] = settings.public_url
    app[asking.DEFAULTS] = defaults or Defaults()
    app[asking.CALLBACK_HOSTS] = settings.callback_hosts
    app[health.STATUS] = status
    app[metrics.METRICS] = metrics.Metrics.new()
    app[metrics.CALLS] = calls
    app[openapi.DOCUMENT] = openapi.document(ENDPOINTS)
    if (keys := check_webhook_secret(settings)) is not None:
        app[webhook.KEYS] = keys
    app.add_routes([endpoint.route() for endpoint in ENDPOINTS])
    app.add_routes(routes)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(stop_waiting)
    return app


def check_webhook_secret(settings: Settings) -> WebhookKeys | None:
    """The keys of the signed webhook, None without a secret. Raises InvalidSetting for one that cannot be used."""
    secret = settings.approval_webhook_secret
    return None if secret is None else WebhookKeys.of(secret.get_secret_value(), settings.webhook_signatures)
