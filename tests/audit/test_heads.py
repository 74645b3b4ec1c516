"""Signed heads on a schedule: what shows later that a tail was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent_runtime.audit.heads import HeadWriter
from agent_runtime.audit.verify_database import verify_database
from agent_runtime.audit.verify_file import verify_file
from agent_runtime.errors import InvalidSetting
from agent_runtime.settings import Settings, load
from agent_runtime.store.database import Database
from tests.audit.trail import KEY, some_history

pytestmark = pytest.mark.databases("sqlite")


async def test_a_file_of_heads_holds_a_database_to_them(database: Database, tmp_path: Path) -> None:
    writer = HeadWriter(database, str(tmp_path), KEY, 3600)
    for _ in range(2):
        await some_history(database)
        await writer.write()
        await writer.write()  # nothing new
    [file] = tmp_path.glob("countersign-heads-*.jsonl")
    with file.open("rb") as lines:
        checked = verify_file(lines, key=KEY)
    assert (checked.report.findings, len(checked.heads)) == ([], 2)
    assert (await verify_database(database, checked.heads, key=KEY)).findings == []
    forged = file.read_bytes().replace(b'"sequence":', b'"sequence":1')
    assert "its signature is wrong" in verify_file(forged.splitlines(), key=KEY).report.findings[0]


async def test_the_log_gets_the_same_line(database: Database) -> None:
    await some_history(database)
    with capture_logs() as logs:
        await HeadWriter(database, "log", KEY, 3600).write()
    assert verify_file([logs[0]["head"].encode()], key=KEY).report.findings == []


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("audit_key", "short", "COUNTERSIGN_AUDIT_KEY: must be at least 32 characters"),
        ("audit_heads", "/not/there", "COUNTERSIGN_AUDIT_HEADS: must be a folder that is there, or the word log"),
    ],
)
def test_settings_are_checked(setting: str, value: str, says: str) -> None:
    with pytest.raises(InvalidSetting, match=says):
        load(Settings, **{setting: value})
