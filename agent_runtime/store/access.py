"""Statements about tokens, sessions, and the deliveries that were seen."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select, update

from agent_runtime.store.rows import column_names
from agent_runtime.store.schema import inbox, sessions, tokens
from agent_runtime.store.statement import Q

_t = tokens.c
INSERT_TOKEN = Q(insert(tokens), columns=column_names(tokens))
TOKEN_BY_HASH = Q(
    select(_t.name, _t.scopes, _t.principal, _t.expires_at).where(
        _t.token_hash == bindparam("b_hash"), _t.revoked_at.is_(None)
    ),
    quick=True,
)
TOKENS = Q(
    select(_t.name, _t.scopes, _t.principal, _t.created_by, _t.created_at, _t.expires_at, _t.revoked_at).order_by(
        _t.created_at
    )
)
ANY_TOKEN = Q(select(_t.name).where(_t.revoked_at.is_(None)).limit(1), quick=True)
REVOKE_TOKEN = Q(
    update(tokens)
    .where(_t.name == bindparam("b_name"), _t.revoked_at.is_(None))
    .values(revoked_at=bindparam("b_now"))
    .returning(_t.name)
)

_s = sessions.c
INSERT_SESSION = Q(insert(sessions), columns=column_names(sessions))
SESSION_BY_HASH = Q(
    select(_t.name, _t.scopes, _t.principal, _t.expires_at, _s.expires_at.label("session_expires_at"))
    .select_from(sessions.join(tokens, _t.name == _s.token_name))
    .where(_s.session_hash == bindparam("b_hash"), _t.revoked_at.is_(None)),
    quick=True,
)
END_SESSION = Q(delete(sessions).where(_s.session_hash == bindparam("b_hash")).returning(_s.token_name))
FORGET_SESSIONS = Q(delete(sessions).where(_s.expires_at <= bindparam("b_now")))

_i = inbox.c
SEEN = Q(select(_i.received_at).where(_i.delivery_key == bindparam("b_key")))
INSERT_SEEN = Q(insert(inbox), columns=column_names(inbox))
FORGET_SEEN = Q(delete(inbox).where(_i.received_at < bindparam("b_before")))
