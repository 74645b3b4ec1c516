"""The lines of an exported trail: a signed head, an event a line, and a signed end. Pure.

The head says where the chain stood, so that a cut tail is seen; the end holds the number of events and the digest of
every byte before it, so that a part of the trail (one execution's, one month's) is as safe from changes as all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.core.audit import Head, SealedEvent, payload_digest, signed
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import rfc3339

FORMAT = 1
HEAD, END = "countersign.audit.head", "countersign.audit.end"


class BadLine(ValueError):
    """A line that no export has."""


def head_line(
    head: Head, *, epoch: int, at: int, key: str, selection: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Where the chain stands at `at` (epoch microseconds). `selection` names what an export was narrowed to."""
    document = {
        "kind": HEAD,
        "format": FORMAT,
        "epoch": epoch,
        "sequence": head.sequence,
        "hash": head.hash.hex(),
        "written_at": rfc3339(at),
        "selection": dict(selection or {}),
    }
    return signed(document, key)


def head_of(document: Mapping[str, Any]) -> Head:
    """The head that a line holds. Raises BadLine."""
    try:
        if document["format"] != FORMAT:
            raise BadLine(f"its format is {document['format']!r}, and this version reads {FORMAT}")
        return Head(int(document["sequence"]), bytes.fromhex(document["hash"]))
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, BadLine) else BadLine("it is no head of an export") from error


def end_line(events: int, digest: str, *, key: str) -> dict[str, Any]:
    """The last line: how many events came before, and the digest of every byte before it."""
    return signed({"kind": END, "format": FORMAT, "events": events, "digest": f"sha256:{digest}"}, key)


def event_line(number: int, sequence: int, previous_hash: bytes, hash: bytes, event: SealedEvent) -> dict[str, Any]:
    """One event; `number` counts the file's events from 1. A redacted one has `payload` in place of data and salt."""
    line = {
        "line": number,
        "sequence": sequence,
        "previous_hash": previous_hash.hex(),
        "hash": hash.hex(),
        "event_id": event.event_id,
        "stream": event.stream,
        "seq": event.seq,
        "type": event.type,
        "at": event.at,
        "time": rfc3339(event.at),
        "principal": event.principal,
        "via": event.via,
        "execution_id": event.execution_id,
        "approval_request_id": event.approval_request_id,
        "schema_version": event.schema_version,
    }
    if event.data is None:
        return {**line, "payload": event.payload}
    return {**line, "salt": event.salt, "data": json.loads(event.data)}


_FIELDS = frozenset(
    {
        "line",
        "sequence",
        "previous_hash",
        "hash",
        "event_id",
        "stream",
        "seq",
        "type",
        "at",
        "time",
        "principal",
        "via",
        "execution_id",
        "approval_request_id",
        "schema_version",
    }
)


def read_event(document: Mapping[str, Any]) -> tuple[int, Head, bytes, SealedEvent]:
    """(number, the head before, its seal's hash, the event) of a line. Raises BadLine."""
    given = set(document)
    if given not in (_FIELDS | {"payload"}, _FIELDS | {"salt", "data"}):
        raise BadLine("it is no event of an export")
    try:
        data = canonical(document["data"]) if "data" in document else None
        event = SealedEvent(
            event_id=int(document["event_id"]),
            stream=str(document["stream"]),
            seq=int(document["seq"]),
            type=str(document["type"]),
            at=int(document["at"]),
            principal=str(document["principal"]),
            via=str(document["via"]),
            execution_id=document["execution_id"],
            approval_request_id=document["approval_request_id"],
            schema_version=int(document["schema_version"]),
            payload=str(document["payload"]) if data is None else payload_digest(data, str(document["salt"])),
            data=data,
            salt=str(document.get("salt", "")),
        )
        before = Head(int(document["sequence"]) - 1, bytes.fromhex(document["previous_hash"]))
        number, seal_hash = int(document["line"]), bytes.fromhex(document["hash"])
    except (TypeError, ValueError) as error:
        raise BadLine(f"it is no event of an export ({error})") from error
    if document["time"] != rfc3339(event.at):
        raise BadLine(f"{event.name}: its time is not that of `at`")
    return number, before, seal_hash, event
