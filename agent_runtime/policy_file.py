"""Reads the operator's policy file where there is one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from agent_runtime.core.checkpoints import PolicyFile, parse
from agent_runtime.errors import InvalidSetting

DEFAULT_FILE = "checkpoints.toml"
"""Used where it stands in the working directory and COUNTERSIGN_CHECKPOINTS names no other."""


def policy_in_force(named: str) -> dict[str, Any]:
    """What the audit trail says about the policy file: its checkpoints by id and mode, and the digest of its bytes."""
    path = Path(named or DEFAULT_FILE)
    points = load_policy_file(named).checkpoints
    return {
        "file_digest": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" if path.exists() else "",
        "checkpoints": [{"checkpoint_id": point.checkpoint_id, "mode": point.mode} for point in points],
    }


def load_policy_file(named: str) -> PolicyFile:
    """The policy in `named` (COUNTERSIGN_CHECKPOINTS), or in ./checkpoints.toml; an empty one where neither is there.

    Raises InvalidSetting for a named file that cannot be read, and for a file that says something wrong.
    """
    path = Path(named or DEFAULT_FILE)
    if not named and not path.exists():
        return PolicyFile()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"COUNTERSIGN_CHECKPOINTS: {named or path} cannot be read: {error}") from error
    return parse(text, source=str(path))
