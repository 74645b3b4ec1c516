"""Seals events: the chain grows by what was read, unless another replica was first."""

from __future__ import annotations

from collections.abc import Sequence

from agent_runtime.core.audit import GENESIS, Head, SealedEvent, next_hash
from agent_runtime.store.audit import CHAIN, GET_HEAD, INSERT_HEAD, INSERT_SEAL, LOCK_HEAD, MOVE_HEAD
from agent_runtime.store.tx import Tx


def seal(tx: Tx, before: Head, batch: Sequence[tuple[int, bytes]]) -> Head | None:
    """Appends `batch` ((event id, event's hash), in order) to the chain that stood at `before`; returns its new head.

    None, and nothing is written, where the chain stands elsewhere by now or another replica is sealing: it waits for
    nobody, and nobody waits for it.
    """
    head = tx.one(LOCK_HEAD)
    if head is None:
        if tx.one(GET_HEAD) is not None:
            return None
        tx.run(INSERT_HEAD, chain=CHAIN, sequence=0, hash=GENESIS)
        head = Head()
    if head != before:
        return None
    for event_id, event_hash in batch:
        after = Head(head.sequence + 1, next_hash(head, event_hash))
        tx.later(INSERT_SEAL, sequence=after.sequence, event_id=event_id, previous_hash=head.hash, hash=after.hash)
        head = after
    moved = tx.run(MOVE_HEAD, b_before=before.sequence, b_sequence=head.sequence, b_hash=head.hash)
    return None if moved is None else head


def hashed(events: Sequence[SealedEvent]) -> list[tuple[int, bytes]]:
    """What `seal` takes, worked out before the transaction."""
    return [(event.event_id, event.hash()) for event in events]
