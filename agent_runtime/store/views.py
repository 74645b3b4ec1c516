"""What others read with plain SQL: views on the tables, the same on every database.

`pending_reviews` has one row an approval: `request_id`, `action_description`, `agent_context` (JSON text: what an
outside agent sent with its request, or the state of the execution that asks, up to the call that it asks about),
`timestamp` (RFC 3339, UTC; as the outside agent gave it where it did) and `status` (`waiting`, then as in
`approvals.status`). It shows what the tables hold, secrets included; only the doors mask.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, MetaData, event

_PENDING_REVIEWS = """
CREATE VIEW pending_reviews AS
SELECT
    a.approval_request_id AS request_id,
    a.title AS action_description,
    CASE WHEN a.execution_id IS NULL
        THEN coalesce({agent_context}, {asserted_text}, '{{}}')
        ELSE '{{"agent":' || {quote}(a.agent) || ',"agent_version":' || {quote}(a.agent_version)
            || ',"execution_id":' || {quote}(a.execution_id) || ',"requested_by":' || {quote}(a.requested_by)
            || ',"tool_name":' || {quote}(a.tool_name) || ',"arguments":' || a.arguments
            || ',"context":' || coalesce(a.context, 'null') || ',"input":' || coalesce(e.input, 'null')
            || ',"steps":[' || coalesce((SELECT {joined} FROM (
                SELECT s.position, '{{"position":' || s.position || ',"kind":' || {quote}(s.kind)
                    || ',"name":' || {quote}(s.name) || ',"status":' || {quote}(s.status)
                    || ',"arguments":' || s.arguments || ',"result":' || coalesce(s.result, 'null') || '}}' AS step
                FROM steps s
                WHERE s.execution_id = a.execution_id AND (a.position IS NULL OR s.position < a.position)
                ORDER BY s.position
            ) before), '') || ']}}'
    END AS agent_context,
    coalesce(
        {timestamp},
        {seconds}
            || '.' || substr(CAST(1000000 + a.created_at % 1000000 AS text), 2) || 'Z'
    ) AS timestamp,
    CASE a.status WHEN 'pending' THEN 'waiting' ELSE a.status END AS status
FROM (
    SELECT *, {asserted} AS asserted
    FROM approvals
) a LEFT JOIN executions e ON e.execution_id = a.execution_id
"""

PENDING_REVIEWS = {
    "sqlite": _PENDING_REVIEWS.format(
        quote="json_quote",
        joined="group_concat(step, ',')",
        # Without the operators -> and ->>, which SQLite has since 3.38 only.
        asserted="CASE WHEN execution_id IS NULL THEN json_extract(context, '$.asserted.context') END",
        asserted_text="a.asserted",
        agent_context="""CASE json_type(a.asserted, '$.agent_context')
            WHEN 'text' THEN json_quote(json_extract(a.asserted, '$.agent_context'))
            WHEN 'true' THEN 'true'
            WHEN 'false' THEN 'false'
            ELSE CAST(json_extract(a.asserted, '$.agent_context') AS text)
        END""",
        timestamp="CAST(json_extract(a.asserted, '$.timestamp') AS text)",
        seconds="strftime('%Y-%m-%dT%H:%M:%S', a.created_at / 1000000, 'unixepoch')",
    ),
    "postgresql": _PENDING_REVIEWS.format(
        quote="to_json",
        joined="string_agg(step, ',' ORDER BY position)",
        # PostgreSQL cannot take apart JSON that holds an escaped NUL; one such row must not break the view.
        asserted="CASE WHEN execution_id IS NULL AND strpos(context, '\\u0000') = 0\n"
        "        THEN context::json #> '{asserted,context}' END",
        asserted_text="a.asserted::text",
        agent_context="(a.asserted -> 'agent_context')::text",
        timestamp="a.asserted ->> 'timestamp'",
        seconds="to_char(to_timestamp(a.created_at / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')",
    ),
}
"""The statement for "sqlite" or "postgresql"."""


def attach(metadata: MetaData) -> None:
    """The views come with the tables of `metadata`."""

    @event.listens_for(metadata, "after_create")
    def create(target: MetaData, connection: Connection, **_: Any) -> None:
        connection.exec_driver_sql(PENDING_REVIEWS[connection.dialect.name].strip())
