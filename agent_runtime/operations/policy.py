"""Says in the audit trail under which policy a replica works, where that is another than before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.core.canonical import digest
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.store.events import LAST_OF_STREAM, record
from agent_runtime.store.tx import Tx

STREAM = "policy"
"""The audit stream of the operator's policy."""


def note_policy(tx: Tx, policy: Mapping[str, Any]) -> bool:
    """Records `policy` (JSON values: what a replica was started with), unless the last one was the same."""
    wanted = digest(dict(policy))
    last = tx.one(LAST_OF_STREAM, b_stream=STREAM)
    if last is not None and json.loads(last.data).get("digest") == wanted:
        return False
    record(tx, "policy.changed", stream=STREAM, by=LOCAL_OPERATOR, via=Via.system, data={**policy, "digest": wanted})
    return True
