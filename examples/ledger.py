"""Stands in for the systems that the samples would change: every effect is one line of a file."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any


def record(tool: str, arguments: dict[str, Any], idempotency_key: str) -> None:
    """Append the effect to the file that COUNTERSIGN_DEMO_LEDGER names; without that setting do nothing."""
    path = os.environ.get("COUNTERSIGN_DEMO_LEDGER")
    if not path:
        return
    effect = {
        "tool": tool,
        "arguments": arguments,
        "idempotency_key": idempotency_key,
        "at": datetime.now(UTC).isoformat(),
    }
    # One write to a file opened for appending: lines of several processes never mix.
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(ledger, json.dumps(effect).encode() + b"\n")
    finally:
        os.close(ledger)
