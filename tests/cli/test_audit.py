"""`countersign audit`, `stop`, `resume`, `db backup` and `db restore`, as their users run them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from agent_runtime.store.database import Database
from tests.cli.command import Command
from tests.flow import AGENT, Flow

KEY = {"COUNTERSIGN_AUDIT_KEY": "a key that is used for nothing but these tests"}


async def test_export_and_verify(countersign: Command, open_rows: Database, tmp_path: Path) -> None:
    flow = await Flow.asked(open_rows)
    file = tmp_path / "trail.jsonl"
    done = await countersign.done("audit", "export", "--output", str(file), **KEY)
    assert (done.out.startswith(f"{file}: "), done.err) == (True, "")
    assert file.stat().st_mode & 0o077 == 0
    checked = await countersign.done("audit", "verify", str(file), "--against", "configured", **KEY)
    assert checked.out.count("nothing was changed") == 2
    with closing(sqlite3.connect(tmp_path / "countersign.db")) as connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET principal = 'slack:T1:U666' WHERE type = 'approval.requested'")
        connection.commit()
    found = await countersign("audit", "verify", str(file), "--against", "configured", "--json", **KEY)
    assert found.status == 1
    [of_file, of_database] = found.json["checked"]
    assert of_file["intact"]
    assert f"(approval.requested, number 3 of {flow.execution_id}) is not what was sealed" in of_database["findings"][0]
    assert (await countersign("audit", "export", "-o", str(file), **KEY)).status == 2


async def test_without_a_key_the_export_says_that_it_is_not_signed(countersign: Command) -> None:
    done = await countersign.done("audit", "export", "--since", "2026-01-01")
    assert "not signed" in done.err
    head, end = (json.loads(line) for line in done.out.splitlines())
    assert (head["signature"], end["events"]) == (None, 0)
    assert (await countersign("audit", "export", "--since", "yesterday")).status == 2


async def test_an_export_that_fails_leaves_no_file(countersign: Command) -> None:
    file = countersign.folder / "one.jsonl"
    refused = await countersign("audit", "export", "-o", str(countersign.folder / "nowhere" / "x.jsonl"), **KEY)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("countersign: --output: ")
    unknown = await countersign("audit", "export", "--execution", "exe_nobodys", "-o", str(file), **KEY)
    assert (unknown.status, "exe_nobodys" in unknown.err, file.exists()) == (1, True, False)
    url = {"COUNTERSIGN_DATABASE_URL": "sqlite+aiosqlite:///not_there.db"}
    missing = await countersign("audit", "export", "-o", str(file), **KEY, **url)
    assert (missing.status, file.exists()) == (1, False)
    unsigned = await countersign("audit", "export", "-o", str(file), **url)
    assert "there is no database" in unsigned.err
    assert "COUNTERSIGN_AUDIT_KEY" not in unsigned.err


async def test_redaction_asks_about_what_is_there_alone(countersign: Command, open_rows: Database) -> None:
    unknown = await countersign("audit", "redact", "exe_nobodys", "-m", "asked to", typed="n\n")
    assert (unknown.status, unknown.out) == (1, "")
    assert "no execution has the id 'exe_nobodys'" in unknown.err
    flow = await Flow.asked(open_rows)
    alive = await countersign("audit", "redact", flow.execution_id, "-m", "asked to", typed="n\n")
    assert (alive.out, "wait until it has ended" in alive.err) == ("", True)
    await countersign.done("executions", "cancel", flow.execution_id)
    asked = await countersign("audit", "redact", flow.execution_id, "-m", "asked to", typed="n\n")
    assert "Go on?" in asked.said
    assert (
        "the payloads of" in (await countersign.done("audit", "redact", flow.execution_id, "-m", "asked to", "-y")).out
    )


async def test_stop_and_resume(countersign: Command, open_rows: Database) -> None:
    flow = await Flow.started(open_rows)
    stopped = await countersign.done("stop", AGENT.name, "--reason", "an incident")
    assert stopped.out.startswith(f"the agent {AGENT.name} is stopped")
    assert f"held: agent:{AGENT.name}" in (await countersign.done("executions", "list")).out
    assert "is stopped" in (await countersign.done("executions", "show", flow.execution_id)).out
    assert (await countersign("stop", "nobody")).status == 1
    doctor = await countersign("doctor")
    assert f"stopped: the agent {AGENT.name} (by local:operator)" in doctor.out
    await countersign.done("stop")
    resumed = await countersign.done("resume")
    assert resumed.out == f"everything goes on; still stopped: the agent {AGENT.name}\n"
    assert "everything at once is not stopped" in (await countersign("resume")).err
    await countersign.done("resume", AGENT.name)
    assert "held" not in (await countersign.done("executions", "list")).out


async def test_backup_and_restore(countersign: Command, open_rows: Database, tmp_path: Path) -> None:
    flow = await Flow.asked(open_rows)
    file = tmp_path / "backup.db"
    assert "bytes" in (await countersign.done("db", "backup", str(file))).out
    await open_rows.close()
    refused = await countersign("db", "restore", str(file))
    assert (refused.status, "--force" in refused.err) == (1, True)
    done = await countersign.done("db", "restore", str(file), "--force")
    assert "1 executions are held" in done.out
    assert (tmp_path / "countersign.db").stat().st_mode & 0o077 == 0
    assert len([*tmp_path.glob("countersign.db.before-restore-*")]) >= 1
    shown = await countersign.done("executions", "list", "--json")
    assert shown.json[0]["execution_id"] == flow.execution_id
    assert shown.json[0]["held_for"] == "restore"
    assert (await countersign("db", "restore", str(tmp_path / "nothing"))).status == 1
