"""The audit trail's chain: what is hashed, how seals follow each other, and what a signed head says. Pure.

An event's payload enters the chain as a salted digest, so that it can be taken out later without breaking the chain:
the digest stays. The formats are described in docs/audit.md, for whoever verifies with code of their own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.canonical import JsonValue, canonical, plain_bytes

GENESIS = bytes(32)
"""The hash before the first seal."""

SHORTEST_KEY = 32
"""Characters of a key that signs heads, at least."""

_SIGNATURE = "signature"
_ALGORITHM = "hmac-sha256"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the last seal's sequence (0: none) and hash."""

    sequence: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class SealedEvent:
    """One event as the chain holds it. `data` is None where it was redacted; then `payload` is all that is left."""

    event_id: int
    stream: str
    seq: int
    type: str
    at: int
    principal: str
    via: str
    execution_id: str | None
    approval_request_id: str | None
    schema_version: int
    payload: str
    data: str | None = None
    salt: str = ""

    @classmethod
    def of(cls, row: Any) -> SealedEvent:
        """From a row of `events`."""
        redacted = redacted_payload(row.data, row.salt)
        return cls(
            row.event_id,
            row.stream,
            row.seq,
            row.type,
            row.at,
            row.principal,
            row.via,
            row.execution_id,
            row.approval_request_id,
            row.schema_version,
            redacted or payload_digest(row.data, row.salt),
            None if redacted else row.data,
            "" if redacted else row.salt,
        )

    def hash(self) -> bytes:
        """SHA-256 of the canonical JSON of all but data and salt."""
        header: dict[str, JsonValue] = {
            "approval_request_id": self.approval_request_id,
            "at": self.at,
            "event_id": self.event_id,
            "execution_id": self.execution_id,
            "payload": self.payload,
            "principal": self.principal,
            "schema_version": self.schema_version,
            "seq": self.seq,
            "stream": self.stream,
            "type": self.type,
            "via": self.via,
        }
        return hashlib.sha256(plain_bytes(header)).digest()

    @property
    def name(self) -> str:
        """The event as a finding names it."""
        return f"event {self.event_id} ({self.type}, number {self.seq} of {self.stream})"


def payload_digest(data: str, salt: str) -> str:
    """The digest of an event's payload; without the salt nobody can try out what it may have been."""
    return "sha256:" + hashlib.sha256(f"{salt}\n{data}".encode()).hexdigest()


def redacted_data(payload: str) -> str:
    """What stands in place of a redacted event's data; its salt becomes empty."""
    return canonical({"redacted": payload})


def redacted_payload(data: str, salt: str) -> str | None:
    """The digest that a redacted event left, or None for one that was not redacted."""
    if salt:
        return None
    try:
        value = json.loads(data)
    except ValueError:
        return None
    payload = value.get("redacted") if isinstance(value, dict) and len(value) == 1 else None
    return payload if isinstance(payload, str) else None


def next_hash(before: Head, event_hash: bytes) -> bytes:
    """The hash of the seal after `before`: SHA-256 of its hash, the new sequence as text, and the event's hash."""
    return hashlib.sha256(before.hash + str(before.sequence + 1).encode() + b"\n" + event_hash).digest()


def sealed(before: Head, event: SealedEvent) -> Head:
    """The chain's head once `event` is sealed."""
    return Head(before.sequence + 1, next_hash(before, event.hash()))


# --- signatures ---


def signed(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """`document` with its signature, `hmac-sha256:KEYID:HEX` over its canonical JSON; unsigned without a key."""
    if not key:
        return {**document, _SIGNATURE: None}
    return {**document, _SIGNATURE: f"{_ALGORITHM}:{key_id(key)}:{_mac(document, key)}"}


def signature_problem(document: Mapping[str, Any], key: str) -> str:
    """Why the signature does not hold; "" where it does. Without a key nothing is found."""
    if not key:
        return ""
    given = document.get(_SIGNATURE)
    if not isinstance(given, str):
        return "it is not signed"
    algorithm, _, rest = given.partition(":")
    name, _, mac = rest.partition(":")
    if algorithm != _ALGORITHM:
        return f"it is signed by {algorithm or 'nothing'}, which is unknown here"
    if name != key_id(key):
        return f"it is signed with the key {name}, and the key at hand is {key_id(key)}"
    body = {field: value for field, value in document.items() if field != _SIGNATURE}
    if not hmac.compare_digest(mac.encode(), _mac(body, key).encode()):
        return "its signature is wrong"
    return ""


def key_id(key: str) -> str:
    """A name for a key that tells nothing about it."""
    return hashlib.sha256(b"countersign audit key\n" + key.encode()).hexdigest()[:16]


def _mac(document: Mapping[str, Any], key: str) -> str:
    return hmac.new(
        key.encode(), b"countersign audit\n" + canonical(dict(document)).encode(), hashlib.sha256
    ).hexdigest()
