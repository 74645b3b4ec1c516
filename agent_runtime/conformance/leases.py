"""What dead servers held, where nobody is to wait until their leases are over."""

from __future__ import annotations

from agent_runtime.operations.claim import release_parked
from agent_runtime.store.executions import BUSY_WORKERS, KEEP_WORKER, OF_WORKER, list_executions
from agent_runtime.store.tx import Tx

_OF_STATUS = list_executions(status=True, agent=False, after=False)
EVERYTHING = 10_000


def end_leases(tx: Tx) -> None:
    """Every lease is over now, and nothing is kept for whoever had parked it: for where no server lives."""
    for busy in tx.all(BUSY_WORKERS):
        for execution in tx.all(OF_WORKER, b_worker=busy.worker_id):
            tx.run(KEEP_WORKER, b_id=execution.execution_id, b_lease=tx.now)
    kept = [
        row.worker_id for at in ("waiting", "queued") for row in tx.all(_OF_STATUS, b_status=at, b_limit=EVERYTHING)
    ]
    for worker_id in {worker for worker in kept if worker is not None}:
        release_parked(tx, worker_id)
