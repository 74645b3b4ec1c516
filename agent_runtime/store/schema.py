"""Tables. Times are epoch microseconds; JSON is canonical text, never JSONB; column order is the dataclasses' order.

No foreign keys: rows are never deleted, every reference is written in the transaction that creates its target, and the
checks would be paid on every insert. Their indexes are in `indexes`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

from agent_runtime.store import views
from agent_runtime.store.append_only import protect

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

_Id = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _time(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _count(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=null)


agent_definitions = Table(
    "agent_definitions",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("agent_version", Text, primary_key=True),
    _text("definition"),
    _time("deployed_at"),
)

executions = Table(
    "executions",
    metadata,
    Column("execution_id", Text, primary_key=True),
    _text("agent"),
    _text("agent_version"),
    _text("reasoner", null=True),
    _text("status"),
    _text("input"),
    _text("requested_by"),
    _text("via"),
    _text("idempotency_key", null=True),
    _text("input_digest"),
    _text("conversation_id", null=True),
    _text("parent_execution_id", null=True),
    _count("parent_position", null=True),
    _text("origin", null=True),
    _count("open_approvals"),
    _count("signals"),
    _count("fence"),
    _text("worker_id", null=True),
    _time("lease_until", null=True),
    _count("attempts"),
    _time("run_after"),
    _text("result", null=True),
    _text("error", null=True),
    _text("finish_reason", null=True),
    _count("version"),
    _time("created_at"),
    _time("started_at", null=True),
    _time("ended_at", null=True),
    _text("held_for", null=True),
    UniqueConstraint("requested_by", "agent", "idempotency_key"),
)

steps = Table(
    "steps",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _count("turn"),
    _text("kind"),
    _text("name"),
    _text("call_id"),
    _text("status"),
    _text("effect"),
    _text("arguments"),
    _text("digest"),
    _text("tool_version"),
    _text("idempotency_key"),
    _text("approval_request_id", null=True),
    _text("result", null=True),
    _count("attempt"),
    _count("fence"),
    _time("created_at"),
    _time("started_at", null=True),
    _time("ended_at", null=True),
    sqlite_with_rowid=False,
)

approvals = Table(
    "approvals",
    metadata,
    Column("approval_request_id", Text, primary_key=True),
    _text("kind"),
    _text("status"),
    _text("execution_id", null=True),
    _count("position", null=True),
    _text("conversation_id", null=True),
    _text("agent"),
    _text("agent_version"),
    _text("tool_name"),
    _text("tool_version"),
    _text("arguments"),
    _text("preview", null=True),
    _text("digest"),
    _text("title"),
    _text("context", null=True),
    _text("url"),
    _text("callback_url"),
    _text("requested_by"),
    _text("policy"),
    _text("origin", null=True),
    _text("supersedes", null=True),
    _time("created_at"),
    _time("clock_started_at", null=True),
    _time("expires_at", null=True),
    _time("next_due_at", null=True),
    _count("rungs_done"),
    _count("widened"),
    _count("extensions"),
    _count("version"),
    _time("resolved_at", null=True),
    _text("resolution", null=True),
    _time("valid_until", null=True),
    _time("consumed_at", null=True),
    _text("request_digest", null=True),
)

decisions = Table(
    "decisions",
    metadata,
    Column("approval_request_id", Text, primary_key=True),
    Column("principal", Text, primary_key=True),
    _text("via"),
    _text("verdict"),
    _text("feedback"),
    _text("edited_arguments", null=True),
    _text("digest"),
    _text("asserted_by"),
    _text("eligible_as"),
    _time("created_at"),
)

permits = Table(
    "permits",
    metadata,
    Column("approval_request_id", Text, primary_key=True),
    _text("permit_hash"),
    _text("salt"),
    _text("principal"),
    _text("digest"),
    _text("status"),
    _time("claimed_at"),
    _time("expires_at"),
    _time("ended_at", null=True),
    _text("result", null=True),
    _text("in_doubt_id", null=True),
    _text("fresh_id", null=True),
)

events = Table(
    "events",
    metadata,
    Column("event_id", _Id, primary_key=True, autoincrement=True),
    _text("stream"),
    _count("seq"),
    _text("type"),
    _time("at"),
    _text("principal"),
    _text("via"),
    _text("execution_id", null=True),
    _text("approval_request_id", null=True),
    _text("data"),
    _text("salt"),
    _count("schema_version"),
    UniqueConstraint("stream", "seq"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", _Id, primary_key=True, autoincrement=True),
    _text("topic"),
    _text("subject"),
    _text("lane"),
    _text("payload"),
    _time("created_at"),
    _time("next_attempt_at"),
    _count("attempts"),
    _text("last_error", null=True),
    _time("gave_up_at", null=True),
    sqlite_autoincrement=True,  # rows are deleted; another one never gets the id that a slow deliverer still holds
)

receipts = Table(
    "receipts",
    metadata,
    Column("notifier", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("place", Text, primary_key=True),
    _text("receipt"),
    _count("shown_version"),
    _text("shown_digest"),
    _time("created_at"),
    _time("updated_at"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("delivery_key", Text, primary_key=True),
    _time("received_at"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("name", Text, primary_key=True),
    _text("token_hash"),
    _text("scopes"),
    _text("principal"),
    _text("created_by"),
    _time("created_at"),
    _time("expires_at", null=True),
    _time("revoked_at", null=True),
    UniqueConstraint("token_hash"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_hash", Text, primary_key=True),
    _text("token_name"),
    _time("created_at"),
    _time("expires_at"),
)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", Text, primary_key=True),
    _text("agents"),
    _text("host"),
    _count("pid"),
    _time("started_at"),
    _time("heartbeat_at"),
)

seals = Table(
    "seals",
    metadata,
    Column("sequence", _Id, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("event_id"),
)
protect(events, may_change=("data", "salt"))
protect(seals)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

switches = Table(
    "switches",
    metadata,
    Column("scope", Text, primary_key=True),
    _text("principal"),
    _text("via"),
    _text("reason"),
    _time("stopped_at"),
)

epochs = Table(
    "epochs",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    _text("principal"),
    _text("reason"),
    _time("restored_to"),
    _time("opened_at"),
)

views.attach(metadata)
