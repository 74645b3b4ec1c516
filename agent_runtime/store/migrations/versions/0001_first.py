"""The first schema.

A released migration is never edited; a test holds the sum of all migrations to `agent_runtime.store.schema`.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _only(condition: str) -> dict[str, Any]:
    """The condition of a partial index."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _on(dialect: str, statement: str) -> None:
    """A statement of one kind of database."""
    if op.get_bind().dialect.name == dialect:
        op.get_bind().exec_driver_sql(statement)


_PENDING_REVIEWS = {
    "sqlite": """
CREATE VIEW pending_reviews AS
SELECT
    a.approval_request_id AS request_id,
    a.title AS action_description,
    CASE WHEN a.execution_id IS NULL
        THEN coalesce(CASE json_type(a.asserted, '$.agent_context')
            WHEN 'text' THEN json_quote(json_extract(a.asserted, '$.agent_context'))
            WHEN 'true' THEN 'true'
            WHEN 'false' THEN 'false'
            ELSE CAST(json_extract(a.asserted, '$.agent_context') AS text)
        END, a.asserted, '{}')
        ELSE '{"agent":' || json_quote(a.agent) || ',"agent_version":' || json_quote(a.agent_version)
            || ',"execution_id":' || json_quote(a.execution_id) || ',"requested_by":' || json_quote(a.requested_by)
            || ',"tool_name":' || json_quote(a.tool_name) || ',"arguments":' || a.arguments
            || ',"context":' || coalesce(a.context, 'null') || ',"input":' || coalesce(e.input, 'null')
            || ',"steps":[' || coalesce((SELECT group_concat(step, ',') FROM (
                SELECT s.position, '{"position":' || s.position || ',"kind":' || json_quote(s.kind)
                    || ',"name":' || json_quote(s.name) || ',"status":' || json_quote(s.status)
                    || ',"arguments":' || s.arguments || ',"result":' || coalesce(s.result, 'null') || '}' AS step
                FROM steps s
                WHERE s.execution_id = a.execution_id AND (a.position IS NULL OR s.position < a.position)
                ORDER BY s.position
            ) before), '') || ']}'
    END AS agent_context,
    coalesce(
        CAST(json_extract(a.asserted, '$.timestamp') AS text),
        strftime('%Y-%m-%dT%H:%M:%S', a.created_at / 1000000, 'unixepoch')
            || '.' || substr(CAST(1000000 + a.created_at % 1000000 AS text), 2) || 'Z'
    ) AS timestamp,
    CASE a.status WHEN 'pending' THEN 'waiting' ELSE a.status END AS status
FROM (
    SELECT *, CASE WHEN execution_id IS NULL THEN json_extract(context, '$.asserted.context') END AS asserted
    FROM approvals
) a LEFT JOIN executions e ON e.execution_id = a.execution_id
""",
    "postgresql": """
CREATE VIEW pending_reviews AS
SELECT
    a.approval_request_id AS request_id,
    a.title AS action_description,
    CASE WHEN a.execution_id IS NULL
        THEN coalesce((a.asserted -> 'agent_context')::text, a.asserted::text, '{}')
        ELSE '{"agent":' || to_json(a.agent) || ',"agent_version":' || to_json(a.agent_version)
            || ',"execution_id":' || to_json(a.execution_id) || ',"requested_by":' || to_json(a.requested_by)
            || ',"tool_name":' || to_json(a.tool_name) || ',"arguments":' || a.arguments
            || ',"context":' || coalesce(a.context, 'null') || ',"input":' || coalesce(e.input, 'null')
            || ',"steps":[' || coalesce((SELECT string_agg(step, ',' ORDER BY position) FROM (
                SELECT s.position, '{"position":' || s.position || ',"kind":' || to_json(s.kind)
                    || ',"name":' || to_json(s.name) || ',"status":' || to_json(s.status)
                    || ',"arguments":' || s.arguments || ',"result":' || coalesce(s.result, 'null') || '}' AS step
                FROM steps s
                WHERE s.execution_id = a.execution_id AND (a.position IS NULL OR s.position < a.position)
                ORDER BY s.position
            ) before), '') || ']}'
    END AS agent_context,
    coalesce(
        a.asserted ->> 'timestamp',
        to_char(to_timestamp(a.created_at / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
            || '.' || substr(CAST(1000000 + a.created_at % 1000000 AS text), 2) || 'Z'
    ) AS timestamp,
    CASE a.status WHEN 'pending' THEN 'waiting' ELSE a.status END AS status
FROM (
    SELECT *, CASE WHEN execution_id IS NULL AND strpos(context, '\\u0000') = 0
        THEN context::json #> '{asserted,context}' END AS asserted
    FROM approvals
) a LEFT JOIN executions e ON e.execution_id = a.execution_id
""",
}


def upgrade() -> None:
    op.create_table(
        "agent_definitions",
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_version", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("deployed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("agent", "agent_version"),
    )
    op.create_table(
        "executions",
        sa.Column("execution_id", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_version", sa.Text, nullable=False),
        sa.Column("reasoner", sa.Text, nullable=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=True),
        sa.Column("input_digest", sa.Text, nullable=False),
        sa.Column("conversation_id", sa.Text, nullable=True),
        sa.Column("parent_execution_id", sa.Text, nullable=True),
        sa.Column("parent_position", sa.Integer, nullable=True),
        sa.Column("origin", sa.Text, nullable=True),
        sa.Column("open_approvals", sa.Integer, nullable=False),
        sa.Column("signals", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.Text, nullable=True),
        sa.Column("lease_until", sa.BigInteger, nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("run_after", sa.BigInteger, nullable=False),
        sa.Column("result", sa.Text, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("finish_reason", sa.Text, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=True),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("held_for", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("execution_id"),
        sa.UniqueConstraint(
            "requested_by", "agent", "idempotency_key", name="uq_executions_requested_by_agent_idempotency_key"
        ),
    )
    op.create_index("ix_executions_by_agent", "executions", ["agent", "created_at", "execution_id"])
    op.create_index("ix_executions_by_status", "executions", ["status", "created_at", "execution_id"])
    op.create_index(
        "ix_executions_calling",
        "executions",
        ["lease_until"],
        **_only("ended_at IS NOT NULL AND lease_until IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_conversation",
        "executions",
        ["conversation_id", "created_at"],
        **_only("conversation_id IS NOT NULL"),
    )
    op.create_index("ix_executions_held", "executions", ["held_for", "execution_id"], **_only("held_for IS NOT NULL"))
    op.create_index(
        "ix_executions_kept",
        "executions",
        ["worker_id"],
        **_only("worker_id IS NOT NULL AND status IN ('waiting', 'queued')"),
    )
    op.create_index("ix_executions_leased", "executions", ["status", "lease_until"], **_only("status = 'running'"))
    op.create_index("ix_executions_listed", "executions", ["created_at", "execution_id"])
    op.create_index(
        "ix_executions_parent", "executions", ["parent_execution_id"], **_only("parent_execution_id IS NOT NULL")
    )
    op.create_index(
        "ix_executions_queued", "executions", ["status", "run_after", "execution_id"], **_only("status = 'queued'")
    )
    op.create_index("ix_executions_requested_by", "executions", ["requested_by", "created_at", "execution_id"])
    op.create_table(
        "steps",
        sa.Column("execution_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("tool_version", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("approval_request_id", sa.Text, nullable=True),
        sa.Column("result", sa.Text, nullable=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=True),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("execution_id", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "approvals",
        sa.Column("approval_request_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("execution_id", sa.Text, nullable=True),
        sa.Column("position", sa.Integer, nullable=True),
        sa.Column("conversation_id", sa.Text, nullable=True),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_version", sa.Text, nullable=False),
        sa.Column("tool_name", sa.Text, nullable=False),
        sa.Column("tool_version", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("preview", sa.Text, nullable=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("callback_url", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=True),
        sa.Column("supersedes", sa.Text, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("clock_started_at", sa.BigInteger, nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("next_due_at", sa.BigInteger, nullable=True),
        sa.Column("rungs_done", sa.Integer, nullable=False),
        sa.Column("widened", sa.Integer, nullable=False),
        sa.Column("extensions", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("resolved_at", sa.BigInteger, nullable=True),
        sa.Column("resolution", sa.Text, nullable=True),
        sa.Column("valid_until", sa.BigInteger, nullable=True),
        sa.Column("consumed_at", sa.BigInteger, nullable=True),
        sa.Column("request_digest", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("approval_request_id"),
    )
    op.create_index(
        "ix_approvals_decided", "approvals", ["resolved_at", "approval_request_id"], **_only("resolved_at IS NOT NULL")
    )
    op.create_index("ix_approvals_due", "approvals", ["next_due_at"], **_only("status = 'pending'"))
    op.create_index(
        "ix_approvals_ended",
        "approvals",
        ["status", "created_at", "approval_request_id"],
        **_only("resolved_at IS NOT NULL"),
    )
    op.create_index(
        "ix_approvals_execution", "approvals", ["execution_id", "position"], **_only("execution_id IS NOT NULL")
    )
    op.create_index("ix_approvals_listed", "approvals", ["created_at", "approval_request_id"])
    op.create_index(
        "ix_approvals_pending", "approvals", ["created_at", "approval_request_id"], **_only("status = 'pending'")
    )
    op.create_table(
        "decisions",
        sa.Column("approval_request_id", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("feedback", sa.Text, nullable=False),
        sa.Column("edited_arguments", sa.Text, nullable=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("asserted_by", sa.Text, nullable=False),
        sa.Column("eligible_as", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("approval_request_id", "principal"),
    )
    op.create_table(
        "permits",
        sa.Column("approval_request_id", sa.Text, nullable=False),
        sa.Column("permit_hash", sa.Text, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("claimed_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("result", sa.Text, nullable=True),
        sa.Column("in_doubt_id", sa.Text, nullable=True),
        sa.Column("fresh_id", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("approval_request_id"),
    )
    op.create_index("ix_permits_lapsing", "permits", ["expires_at"], **_only("status = 'claimed'"))
    op.create_table(
        "events",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("execution_id", sa.Text, nullable=True),
        sa.Column("approval_request_id", sa.Text, nullable=True),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sa.UniqueConstraint("stream", "seq", name="uq_events_stream_seq"),
    )
    op.create_index(
        "ix_events_approval", "events", ["approval_request_id", "event_id"], **_only("approval_request_id IS NOT NULL")
    )
    op.create_table(
        "outbox",
        sa.Column("outbox_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text, nullable=True),
        sa.Column("gave_up_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("outbox_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_dead", "outbox", ["topic"], **_only("gave_up_at IS NOT NULL"))
    op.create_index("ix_outbox_due", "outbox", ["next_attempt_at", "outbox_id"], **_only("gave_up_at IS NULL"))
    op.create_index("ix_outbox_subject", "outbox", ["subject", "topic"])
    op.create_table(
        "receipts",
        sa.Column("notifier", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.Column("shown_version", sa.Integer, nullable=False),
        sa.Column("shown_digest", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("notifier", "topic", "subject", "place"),
    )
    op.create_index("ix_receipts_place", "receipts", ["notifier", "place"])
    op.create_table(
        "inbox",
        sa.Column("delivery_key", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("delivery_key"),
    )
    op.create_table(
        "tokens",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("token_hash", name="uq_tokens_token_hash"),
    )
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.Text, nullable=False),
        sa.Column("token_name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_hash"),
    )
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("agents", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("worker_id"),
    )
    op.create_index("ix_workers_heartbeat", "workers", ["heartbeat_at"])
    op.create_table(
        "seals",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("event_id", name="uq_seals_event_id"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chain"),
    )
    op.create_table(
        "switches",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("stopped_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.create_table(
        "epochs",
        sa.Column("epoch", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("restored_to", sa.BigInteger, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
    )
    # The audit trail is append-only.
    _on(
        "sqlite",
        "CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END",
    )
    _on(
        "sqlite",
        "CREATE TRIGGER events_no_update BEFORE UPDATE ON events WHEN (NEW.event_id IS NOT OLD.event_id OR NEW.stream IS NOT OLD.stream OR NEW.seq IS NOT OLD.seq OR NEW.type IS NOT OLD.type OR NEW.at IS NOT OLD.at OR NEW.principal IS NOT OLD.principal OR NEW.via IS NOT OLD.via OR NEW.execution_id IS NOT OLD.execution_id OR NEW.approval_request_id IS NOT OLD.approval_request_id OR NEW.schema_version IS NOT OLD.schema_version OR NEW.salt <> '') BEGIN SELECT RAISE(ABORT, 'events is append-only'); END",
    )
    _on(
        "postgresql",
        "CREATE OR REPLACE FUNCTION countersign_append_only() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
    )
    _on(
        "postgresql",
        "CREATE TRIGGER events_no_delete BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION countersign_append_only()",
    )
    _on(
        "postgresql",
        "CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION countersign_append_only()",
    )
    _on(
        "postgresql",
        "CREATE TRIGGER events_no_update BEFORE UPDATE ON events FOR EACH ROW WHEN (NEW.event_id IS DISTINCT FROM OLD.event_id OR NEW.stream IS DISTINCT FROM OLD.stream OR NEW.seq IS DISTINCT FROM OLD.seq OR NEW.type IS DISTINCT FROM OLD.type OR NEW.at IS DISTINCT FROM OLD.at OR NEW.principal IS DISTINCT FROM OLD.principal OR NEW.via IS DISTINCT FROM OLD.via OR NEW.execution_id IS DISTINCT FROM OLD.execution_id OR NEW.approval_request_id IS DISTINCT FROM OLD.approval_request_id OR NEW.schema_version IS DISTINCT FROM OLD.schema_version OR NEW.salt <> '') EXECUTE FUNCTION countersign_append_only()",
    )
    _on(
        "sqlite",
        "CREATE TRIGGER seals_no_delete BEFORE DELETE ON seals BEGIN SELECT RAISE(ABORT, 'seals is append-only'); END",
    )
    _on(
        "sqlite",
        "CREATE TRIGGER seals_no_update BEFORE UPDATE ON seals BEGIN SELECT RAISE(ABORT, 'seals is append-only'); END",
    )
    _on(
        "postgresql",
        "CREATE TRIGGER seals_no_delete BEFORE DELETE ON seals FOR EACH ROW EXECUTE FUNCTION countersign_append_only()",
    )
    _on(
        "postgresql",
        "CREATE TRIGGER seals_no_truncate BEFORE TRUNCATE ON seals FOR EACH STATEMENT EXECUTE FUNCTION countersign_append_only()",
    )
    _on(
        "postgresql",
        "CREATE TRIGGER seals_no_update BEFORE UPDATE ON seals FOR EACH ROW EXECUTE FUNCTION countersign_append_only()",
    )
    op.execute(_PENDING_REVIEWS[op.get_bind().dialect.name].strip())
