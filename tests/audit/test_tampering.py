"""Every way to falsify the trail is found, and the finding names the event: in the database and in an exported file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime.audit.verify_database import verify_database
from agent_runtime.audit.verify_file import verify_file
from agent_runtime.core.audit import SealedEvent, next_hash
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import Conflict, InvalidRequest
from agent_runtime.operations.redact import redact
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from tests.audit.trail import KEY, as_administrator, chain, exported, head, some_history
from tests.flow import Flow

# --- in the database ---


async def heads_of(database: Database) -> list[Any]:
    """The signed head of an export, kept elsewhere."""
    return verify_file(await exported(database), key=KEY).heads


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (["UPDATE events SET principal = 'slack:T1:U666' WHERE event_id = 5"], r"event 5 \(.*is not what was sealed"),
        (["UPDATE events SET data = '{\"a\":1}' WHERE event_id = 5"], r"event 5 \(.*is not what was sealed"),
        (["UPDATE events SET at = at + 1 WHERE event_id = 5"], r"event 5 \(.*is not what was sealed"),
        (["DELETE FROM events WHERE event_id = 5"], "event 5 was deleted; seal 5 says that it was there"),
        (["DELETE FROM events WHERE event_id = 5", "DELETE FROM seals WHERE event_id = 5"], "seal 5 is missing"),
        (
            [
                "UPDATE seals SET event_id = 1000 WHERE sequence = 4",
                "UPDATE seals SET event_id = 4 WHERE sequence = 5",
                "UPDATE seals SET event_id = 5 WHERE sequence = 4",
            ],
            r"event 5 \(.*it, or seal 4, was changed",
        ),
        (
            [
                "UPDATE events SET event_id = 1000 WHERE event_id = 4",
                "UPDATE events SET event_id = 4 WHERE event_id = 5",
                "UPDATE events SET event_id = 5 WHERE event_id = 1000",
            ],
            r"event 4 \(.*is not what was sealed",
        ),
        (
            ["DELETE FROM events WHERE event_id > 6", "DELETE FROM seals WHERE sequence > 6"],
            "sealed up to [0-9]+ and ends at 6: its tail was cut off",
        ),
        (["UPDATE seals SET hash = previous_hash WHERE sequence = 5"], "seal 6 .*does not follow the one before it"),
    ],
)
async def test_changed_rows_are_found(database: Database, database_url: str, change: list[str], found: str) -> None:
    await some_history(database)
    kept = await heads_of(database)
    assert (await verify_database(database, kept, key=KEY)).findings == []
    await as_administrator(database_url, *change)
    report = await verify_database(database, kept, key=KEY)
    assert not report.intact
    assert any(re.search(found, finding) for finding in report.findings), report.findings


async def test_a_tail_that_was_cut_off_with_every_trace_is_found_by_a_head(
    database: Database, database_url: str
) -> None:
    await some_history(database)
    kept = await heads_of(database)
    rows: Any = await chain(database)
    last = rows[5]
    await as_administrator(
        database_url,
        "DELETE FROM events WHERE event_id > 6",
        "DELETE FROM seals WHERE sequence > 6",
        f"UPDATE audit_heads SET sequence = 6, hash = {_bytes(database, last.hash)}",
    )
    assert (await verify_database(database)).findings == []
    [finding] = (await verify_database(database, kept, key=KEY)).findings
    assert f"events 7 to {len(rows)} are gone; the tail was cut off" in finding


async def test_a_chain_that_was_made_anew_is_found_by_a_head(database: Database, database_url: str) -> None:
    await some_history(database)
    kept = await heads_of(database)
    await as_administrator(
        database_url,
        "UPDATE events SET principal = 'slack:T1:U666' WHERE type = 'approval.approved'",
        "DELETE FROM seals",
        "DELETE FROM audit_heads",
    )
    await head(database)
    assert (await verify_database(database)).findings == []
    report = await verify_database(database, kept, key=KEY)
    assert len(report.findings) == 1
    assert "the chain up to there was made anew" in report.findings[0]


async def test_an_event_that_was_inserted_later_is_found(database: Database, database_url: str, clock: Any) -> None:
    await some_history(database)
    await as_administrator(database_url, "UPDATE events SET event_id = event_id + 100", "DELETE FROM seals")
    await as_administrator(database_url, "DELETE FROM audit_heads")
    await head(database)
    await as_administrator(
        database_url,
        "INSERT INTO events (event_id, stream, seq, type, at, principal, via, data, salt, schema_version) "
        "VALUES (7, 'other', 1, 'approval.approved', 1000, 'slack:T1:U1', 'slack', '{}', 'ab', 1)",
    )
    if database.url.get_backend_name() == "sqlite":
        await head(database)  # ids rise with the commits, so that the sealer has nothing to do with it
    [finding] = (await verify_database(database)).findings
    assert finding.startswith("event 7 (approval.approved, number 1 of other) has no seal")


async def test_an_event_removed_from_a_rebuilt_chain_leaves_a_gap_in_its_stream(
    database: Database, database_url: str
) -> None:
    flow = await some_history(database)
    await as_administrator(
        database_url,
        f"DELETE FROM events WHERE stream = '{flow.execution_id}' AND seq = 3",
        "DELETE FROM seals",
        "DELETE FROM audit_heads",
    )
    await head(database)
    [finding] = (await verify_database(database)).findings
    assert finding.startswith(f"{flow.execution_id}: it has")
    assert finding.endswith("some are missing")


def _bytes(database: Database, value: bytes) -> str:
    return f"x'{value.hex()}'" if database.url.get_backend_name() == "sqlite" else f"'\\x{value.hex()}'"


# --- in a file ---


@pytest.fixture
async def lines(database: Database) -> list[bytes]:
    """A whole export: a head, events, an end."""
    await some_history(database)
    return await exported(database)


def changed(line: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(line), **fields}).encode() + b"\n"


def resealed(line: bytes, **fields: Any) -> bytes:
    """Changed, and its own seal made to fit."""
    document = {**json.loads(line), **fields}
    from agent_runtime.core.audit_file import read_event

    _, before, _, event = read_event(document)
    return changed(line, **fields, hash=next_hash(before, event.hash()).hex())


def without_signatures(lines: list[bytes]) -> list[bytes]:
    return [changed(line, signature=None) if b'"signature"' in line else line for line in lines]


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda lines: [*lines[:5], changed(lines[5], principal="slack:T1:U666"), *lines[6:]],
            "line 6: event 5 .*chang",
        ),
        (lambda lines: [*lines[:5], changed(lines[5], data={"a": 1}), *lines[6:]], "line 6: event 5 .*it was changed"),
        (lambda lines: [*lines[:5], resealed(lines[5], via="api"), *lines[6:]], "line 7: event 6 .*does not follow"),
        (lambda lines: [*lines[:5], *lines[6:]], "line 6: events 5 to 5 of the file are missing before event 6"),
        (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "line 7: event 5 .*the order was changed"),
        (lambda lines: [*lines[:6], lines[5], *lines[6:]], "line 7: event 5 .*moved or repeated"),
        (lambda lines: lines[:-3], "the file has no end: its tail was cut off"),
        (lambda lines: [*lines[:-3], lines[-1]], "the file was written with .* events and holds"),
        (lambda lines: lines[1:], "the beginning was cut off"),
        (lambda lines: [*lines[:5], lines[5][:40] + b"\n", *lines[6:]], "line 6: it is no JSON object"),
        (lambda lines: [*lines, lines[5]], "it stands behind the end"),
        (lambda lines: [changed(lines[0], sequence=3), *lines[1:]], "line 1: .*its signature is wrong"),
        (without_signatures, "line 1: .*it is not signed"),
    ],
)
async def test_a_changed_file_is_found(lines: list[bytes], change: Change, found: str) -> None:
    whole = verify_file(lines, key=KEY).report
    assert (whole.findings, whole.events, whole.head.sequence) == ([], len(lines) - 2, len(lines) - 2)
    report = verify_file(change(lines), key=KEY).report
    assert any(re.search(found, finding) for finding in report.findings), report.findings


@pytest.mark.databases("sqlite")
async def test_another_key_is_named_and_without_one_signatures_are_said_to_be_unchecked(lines: list[bytes]) -> None:
    report = verify_file(lines, key="another key that nobody has signed with").report
    assert "it is signed with the key" in report.findings[0]
    report = verify_file(lines, key="").report
    assert report.intact
    assert "signatures were not checked" in report.notes[0]


@pytest.mark.parametrize("part", ["execution", "approval", "time"])
async def test_a_part_of_the_trail_is_as_safe(database: Database, part: str, clock: Any) -> None:
    flow = await some_history(database)
    await clock.advance(3_600_000_000)
    await some_history(database)
    approval = (await flow.approvals())[0].approval_request_id
    selection: dict[str, Any] = {
        "execution": {"execution_id": flow.execution_id},
        "approval": {"approval_request_id": approval},
        "time": {"since": clock.now - 1, "until": clock.now + 1},
    }[part]
    lines = await exported(database, **selection)
    events = [json.loads(line) for line in lines[1:-1]]
    if part == "time":
        assert {event["at"] for event in events} == {clock.now}
    elif part == "execution":
        assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    else:
        assert {event["approval_request_id"] for event in events} == {approval}
    assert verify_file(lines, key=KEY).report.findings == []
    without_one = verify_file([*lines[:2], *lines[3:]], key=KEY).report
    assert any("events 2 to 2 of the file are missing" in finding for finding in without_one.findings)
    assert not verify_file([lines[0], *lines[2:]], key=KEY).report.intact
    assert not verify_file(lines[:-1], key=KEY).report.intact


async def test_an_export_is_recorded(database: Database) -> None:
    await some_history(database)
    lines = await exported(database)
    [event] = await database.all(EVENTS_OF_STREAM, b_stream="audit", b_after=0, b_limit=9)
    assert (event.type, event.principal, event.via) == ("audit.exported", "local:operator", "cli")
    assert json.loads(event.data)["sequence"] == json.loads(lines[0])["sequence"]


# --- payloads taken out later ---


async def ended(database: Database) -> Flow:
    from agent_runtime.core.execution import ExecutionStatus
    from agent_runtime.operations.advance import complete

    flow = await some_history(database)
    await database.write(
        complete, flow.held, ExecutionStatus.succeeded, output={"result": "ORD-8821 is refunded"}, finish_reason="STOP"
    )
    return flow


async def test_payloads_can_be_taken_out_and_the_chain_holds(database: Database) -> None:
    flow = await ended(database)
    kept = await heads_of(database)
    count = await database.write(
        redact, flow.execution_id, reason="asked by the customer", by=LOCAL_OPERATOR, via=Via.cli
    )
    assert count == len(await flow.events()) - 1
    shown = repr([await flow.execution(), await flow.journal(), await flow.approvals(), await flow.events()])
    assert "ORD-8821" not in shown
    report = await verify_database(database, kept, key=KEY)
    assert report.findings == []
    lines = await exported(database)
    assert verify_file(lines, key=KEY).report.findings == []
    assert any("payload" in json.loads(line) for line in lines[1:-1])
    [event] = [event for event in await flow.events() if event.type == "audit.redacted"]
    assert json.loads(event.data) == {"reason": "asked by the customer", "events": count}


async def test_payloads_that_somebody_takes_out_himself_are_found(database: Database, database_url: str) -> None:
    await ended(database)
    [row] = [row for row in await chain(database) if row.sequence == 5]  # type: ignore[attr-defined]
    payload = SealedEvent.of(row).payload
    await as_administrator(
        database_url, f"UPDATE events SET data = '{{\"redacted\":\"{payload}\"}}', salt = '' WHERE event_id = 5"
    )
    [finding] = (await verify_database(database)).findings
    assert finding.startswith("event 5 (")
    assert "its payload is gone" in finding
    assert "its payload is gone" in verify_file(await exported(database), key=KEY).report.findings[0]


async def test_what_has_not_ended_keeps_its_payload(database: Database) -> None:
    flow = await some_history(database)
    with pytest.raises(Conflict):
        await database.write(redact, flow.execution_id, reason="why", by=LOCAL_OPERATOR, via=Via.cli)
    with pytest.raises(InvalidRequest, match="reason"):
        await database.write(redact, flow.execution_id, reason=" ", by=LOCAL_OPERATOR, via=Via.cli)
