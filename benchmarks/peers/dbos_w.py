"""W on DBOS: a workflow of steps that receives the decision as a message."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from benchmarks.measuring import Subject
from benchmarks.peers.running import main, not_installed

try:
    from dbos import DBOS, SetWorkflowID
except ImportError:
    not_installed()

WAITING: dict[str, asyncio.Future[None]] = {}


@DBOS.step()
async def first(order: int) -> dict[str, int]:
    return {"step": 1, "order": order}


@DBOS.step()
async def second(order: int) -> dict[str, int]:
    return {"step": 2, "order": order}


@DBOS.step()
async def refund(order: int) -> dict[str, Any]:
    return {"ok": True, "order": order}


@DBOS.workflow()
async def work(run: str, order: int) -> dict[str, Any]:
    await first(order)
    await second(order)
    await DBOS.set_event_async("status", {"waiting": "refund"})
    reached = WAITING.pop(run)
    reached.get_loop().call_soon_threadsafe(reached.set_result, None)
    await DBOS.recv_async("approval", timeout_seconds=7 * 86_400)
    return await refund(order)


class Dbos(Subject):
    name = "dbos"

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    async def start(self, number: int) -> str:
        run = str(uuid.uuid4())
        reached = WAITING[run] = asyncio.get_running_loop().create_future()
        with SetWorkflowID(run):
            self._handles[run] = await DBOS.start_workflow_async(work, run, number)
        await reached
        return run

    async def decide(self, run: str) -> None:
        await DBOS.send_async(run, {"approved": True}, "approval")

    async def done(self, run: str) -> None:
        assert (await self._handles.pop(run).get_result())["ok"]

    async def close(self) -> None:
        """The process ends with it."""


async def opened(kind: str, where: str) -> Dbos:
    assert kind == "postgresql"
    DBOS(
        config={
            "name": "bench",
            "system_database_url": where,
            "log_level": "ERROR",
            "console_log_level": "ERROR",
            "enable_otlp": False,
        }
    )
    DBOS.launch()
    return Dbos()


if __name__ == "__main__":
    main(opened)
