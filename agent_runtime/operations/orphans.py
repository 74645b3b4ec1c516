"""Calls that were running when their execution was ended from outside, and whose worker died before they said how they
ended: people are asked, as about any call in doubt.
"""

from __future__ import annotations

from agent_runtime.core.execution import LEASE, Execution, Step, StepStatus
from agent_runtime.core.policy import Defaults
from agent_runtime.operations.calls import doubt
from agent_runtime.operations.claim import SWEPT
from agent_runtime.store.agents import LIVE_WORKERS
from agent_runtime.store.executions import CALLING_OF_WORKER, CALLING_STILL, FORGET_WORKER, KEEP_WORKER, REOPEN
from agent_runtime.store.steps import JOURNAL
from agent_runtime.store.tx import Tx

WHY = "the execution was ended while the call ran, and its process died before it could record the result"


def ask_about_orphans(tx: Tx, defaults: Defaults) -> int:
    """Asks about such calls of workers without a heartbeat; returns how many executions were looked at."""
    found = tx.all(CALLING_STILL, b_now=tx.now, b_limit=SWEPT)
    alive = {worker.worker_id for worker in tx.all(LIVE_WORKERS, b_since=tx.now - LEASE)} if found else set()
    for execution in found:
        running = _running(tx, execution)
        if running and execution.worker_id in alive:
            tx.run(KEEP_WORKER, b_id=execution.execution_id, b_lease=tx.now + LEASE)
        else:
            _ask(tx, execution, running, defaults)
    return len(found)


def ask_about_orphans_of(tx: Tx, worker_id: str, defaults: Defaults) -> int:
    """The same at once for a worker that is known to be dead; returns how many executions it had left so."""
    found = tx.all(CALLING_OF_WORKER, b_worker=worker_id)
    for execution in found:
        _ask(tx, execution, _running(tx, execution), defaults)
    return len(found)


def _running(tx: Tx, execution: Execution) -> list[Step]:
    journal = tx.all(JOURNAL, b_id=execution.execution_id)
    return [step for step in journal if step.status == StepStatus.started]


def _ask(tx: Tx, execution: Execution, running: list[Step], defaults: Defaults) -> None:
    """Nobody runs the execution's calls any more."""
    tx.run(FORGET_WORKER, b_id=execution.execution_id)
    for step in running:
        tx.run(REOPEN, b_id=execution.execution_id)
        doubt(tx, execution, step, WHY, defaults)
        tx.wake(f"execution:{execution.execution_id}")
