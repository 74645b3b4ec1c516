"""kill -9 amid decisions and with many parked: what ran twice, what is lost, how soon everything goes on.

Amid decisions, as it was measured for other libraries: a process has executions that wait, decides all of them and is
killed once half of the gated calls have had their effect. The next process finishes them; what is in doubt is settled
by the effects' own log, as a person would who looks it up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent_runtime import Agent, AgentHandle, tool
from benchmarks.extent import FULL
from benchmarks.measuring import Figures, at_once
from benchmarks.product import Product, first, second
from benchmarks.table import show

ROUNDS, DECIDED = (5, 100) if FULL else (1, 100)
PARKED = 10_000 if FULL else 500
SUMMED = ("ran twice", "never ran", "in doubt")


class Effects:
    """A log that survives the process: one line an effect, with the execution's id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kill_at: int | None = None
        """The process is killed within this effect, before its result is known to anybody."""

    def happened(self, execution_id: str) -> None:
        with self.path.open("ab", buffering=0) as log:
            log.write(f"{execution_id}\n".encode())
        if self.kill_at is not None and self.path.read_bytes().count(b"\n") >= self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(self) -> Counter[str]:
        return Counter(self.path.read_text().split()) if self.path.exists() else Counter()


EFFECTS = Effects(Path(os.devnull))


@tool(approval_required=True)
async def pay_out(order: int, idempotency_key: str) -> dict[str, Any]:
    """The gated step, with an effect that is seen outside."""
    EFFECTS.happened(idempotency_key.partition(":")[0])
    return {"ok": True, "order": order}


class Killed(Product):
    """W whose gated step leaves a trace."""

    agent = Agent("bench_killed", tools=[first, second, pay_out])


async def run(folder: Path) -> None:
    """The medians of rounds; the counts are those of all of them."""
    rounds = [await amid_decisions(folder / f"amid-{number}.db", DECIDED) for number in range(ROUNDS)]
    amid = {
        name: sum(one[name] for one in rounds) if name in SUMMED else statistics.median(one[name] for one in rounds)
        for name in rounds[0]
    }
    show("kill -9 amid decisions", {f"{DECIDED} at once": amid}, rounds=ROUNDS)
    assert amid["ran twice"] == amid["never ran"] == 0
    show("kill -9 with executions parked", {f"{PARKED:,} parked": await while_parked(folder / "parked.db", PARKED)})


async def amid_decisions(path: Path, count: int) -> Figures:
    """`count` executions are killed amid their decisions and finished by the next process, people answering at once.

    Where `path` has `count` parked ones that `remember` wrote down, it is those.
    """
    ids = await _until_killed(path, count, amid=True)
    EFFECTS.path, EFFECTS.kill_at = _log(path), None
    before = EFFECTS.counted()
    begun = time.perf_counter()
    product = await Killed.open(f"sqlite+aiosqlite:///{path}")
    opened = time.perf_counter() - begun
    doubts = await at_once(lambda execution_id: _finished(product, execution_id), ids)
    took = time.perf_counter() - begun
    await product.close()
    effects = EFFECTS.counted()
    return {
        "done when killed": before.total(),
        "in doubt": sum(doubts),
        "ran twice": sum(times > 1 for times in effects.values()),
        "never ran": sum(effects[execution_id] == 0 for execution_id in ids),
        "open ms": opened * 1e3,
        "all done s": took,
    }


async def while_parked(path: Path, count: int) -> Figures:
    """Executions that waited for people when their process was killed: soon decided by the next one, none lost."""
    ids = await _until_killed(path, count, amid=False)
    EFFECTS.path = _log(path)
    begun = time.perf_counter()
    product = await Killed.open(f"sqlite+aiosqlite:///{path}")
    opened = time.perf_counter() - begun
    doubts = await _finished(product, ids[0])
    first_done = time.perf_counter() - begun
    begun = time.perf_counter()
    doubts += sum(await at_once(lambda execution_id: _finished(product, execution_id), ids[1:]))
    each = (len(ids) - 1) / (time.perf_counter() - begun)
    await product.close()
    assert doubts == 0
    assert EFFECTS.counted() == Counter(ids), "each ran once"
    return {"open ms": opened * 1e3, "first done ms": first_done * 1e3, "then done/s": each}


def remember(path: Path, ids: Sequence[str]) -> None:
    """Writes down which executions of the database at `path` are the ones to be decided."""
    _ids(path).write_text("\n".join(ids))


async def _finished(product: Product, execution_id: str) -> int:
    """Sees the execution to its end; how often people had to say whether its call had happened."""
    handle = AgentHandle(execution_id, product.runtime)
    doubts = 0
    while not (status := await handle.get_status_async()).is_complete:
        for approval in status.pending_approvals:
            if approval["kind"] == "in_doubt":
                doubts += 1
                await _settle(handle, approval["approval_request_id"])
            else:
                await handle.approve_async(approval_request_id=approval["approval_request_id"])
    assert status.status == "succeeded", status
    return doubts


async def _settle(handle: AgentHandle, approval_request_id: str) -> None:
    if EFFECTS.counted()[handle.execution_id]:
        await handle.settle_async("happened", result={"ok": True}, approval_request_id=approval_request_id)
    else:
        await handle.settle_async("not_happened", approval_request_id=approval_request_id)


async def _until_killed(path: Path, count: int, *, amid: bool) -> Sequence[str]:
    """Lets a process park `count` executions and be killed; their ids."""
    what = "amid" if amid else "parked"
    command = [sys.executable, "-m", "benchmarks.killed", what, str(path), str(count)]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    assert (await child.stdout.readline()).strip() == b"parked"
    if not amid:
        child.send_signal(signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    return _ids(path).read_text().split()


async def _live(what: str, path: Path, count: int) -> None:
    """The process that is killed."""
    EFFECTS.path = _log(path)
    product = await Killed.open(f"sqlite+aiosqlite:///{path}")
    if not _ids(path).exists():
        remember(path, await at_once(product.start, range(count)))
        await product.settled()
    print("parked", flush=True)
    if what == "amid":
        EFFECTS.kill_at = max(1, count // 2)
        await at_once(lambda run: _finished(product, run), _ids(path).read_text().split())
    await asyncio.Event().wait()


def _log(path: Path) -> Path:
    return path.with_suffix(".effects")


def _ids(path: Path) -> Path:
    return path.with_suffix(".ids")


if __name__ == "__main__":
    asyncio.run(_live(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
