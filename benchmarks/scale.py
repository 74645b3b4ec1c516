"""A year at a million approvals a day, worked out from a scaled database: `python -m benchmarks.scale`.

Fills a database with whole executions (start, model's reply, gated call, decision, call, end; sealed), a quarter of
them first, and measures at both sizes what a server asks all day. What is printed as measured was measured here; what
is printed as worked out is measured bytes and times multiplied, and says by what.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from sqlalchemy import text

from agent_runtime.agent import Agent
from agent_runtime.audit.sealer import Sealer
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.execution import Execution, ExecutionStatus, StepStatus
from agent_runtime.core.policy import Defaults, Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.advance import ProposedCall, complete, record_reply
from agent_runtime.operations.calls import finish_call, start_call
from agent_runtime.operations.claim import claim, park
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.start import Start, start
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.approvals import PENDING_OF_EXECUTION, list_approvals
from agent_runtime.store.database import Database
from agent_runtime.store.executions import claim_queued, list_executions
from agent_runtime.store.statement import Q

AGENT = Agent("refund_agent")
POLICY = Policy(reviewers=("U123",), rules=("tool:refund",), expires_after=72 * 3_600_000_000)
ARGUMENTS = {"order": "ORD-8821", "amount": 250, "reason": "arrived broken, says the customer", "currency": "EUR"}
CLAIMABLE = claim_queued([AGENT.name])
AT_ONCE = 64

PER_DAY = 1_000_000
YEAR = 365 * PER_DAY
PEAK = 10
"""How much busier the busiest second is than the average one; an assumption, yours may differ."""

PAGES = {
    "pending approvals, a page": (list_approvals(pending=True, status=False, kind=False, after=False), {"b_limit": 51}),
    "executions, a page": (list_executions(status=False, agent=False, after=False), {"b_limit": 51}),
}


async def one(database: Database) -> None:
    """An execution's worth of work: a start, and both halves of an execution, of this one or of another."""
    await database.write(start, Start(AGENT.name, {"prompt": "Refund ORD-8821"}), by=LOCAL_OPERATOR, via=Via.api)
    for _ in range(2):
        await work(database)


async def work(database: Database) -> bool:
    """Claims the oldest that is queued and moves it along; whether there was one."""
    claimed = await database.write(claim, CLAIMABLE, "bench", 1, Defaults())
    for held in claimed:
        await (ask if not held.journal else finish)(database, held.execution)
    return bool(claimed)


async def ask(database: Database, execution: Execution) -> None:
    """The model proposes the gated call, and a person approves it."""
    call = ProposedCall("call_1", "refund", ARGUMENTS, "1", "unsafe", POLICY)
    reply = {"message": {"role": "assistant", "content": "I will refund that."}}
    await database.write(record_reply, execution, 0, 0, reply, [call])
    await database.write(park, execution, execution.signals)
    [approval] = await database.all(PENDING_OF_EXECUTION, b_execution=execution.execution_id)
    await database.write(
        resolve, approval.approval_request_id, Decision(Verdict.approved), by=LOCAL_OPERATOR, via=Via.api
    )


async def finish(database: Database, execution: Execution) -> None:
    """The call runs, and the execution ends."""
    step = await database.write(start_call, execution, 1, "1")
    await database.write(finish_call, execution, step, StepStatus.succeeded, {"value": {"refunded": True}})
    output = {"result": "Refunded.", "finishReason": "STOP"}
    await database.write(complete, execution, ExecutionStatus.succeeded, output=output, finish_reason="STOP")


async def fill(database: Database, count: int) -> float:
    """Runs `count` executions, AT_ONCE side by side; how many a second."""
    began = time.perf_counter()
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await one(database)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    while await work(database):
        pass
    return count / (time.perf_counter() - began)


async def timed(work: Callable[[], Awaitable[object]], times: int = 50) -> float:
    """The median milliseconds of one."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


async def latencies(database: Database) -> dict[str, float]:
    """What a server asks all day."""
    found = {what: await timed(lambda q=q, binds=binds: database.all(q, **binds)) for what, (q, binds) in PAGES.items()}
    found["sweep with nothing due"] = await timed(lambda: database.write(sweep))
    found["claim with nothing queued"] = await timed(lambda: database.write(claim, CLAIMABLE, "bench", 64, Defaults()))
    found["one execution, alone"] = await timed(lambda: one(database), 20)
    return found


async def sizes(database: Database) -> dict[str, int]:
    """Bytes on disk, with indexes: by table on PostgreSQL, of the file on SQLite."""
    if database.url.get_backend_name() == "sqlite":
        pages = await database.all(
            Q(text("SELECT page_count * page_size AS n FROM pragma_page_count, pragma_page_size"))
        )
        return {"the file": int(pages[0][0])}
    rows = await database.all(
        Q(
            text(
                "SELECT relname, pg_total_relation_size(oid) FROM pg_class "
                "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
            )
        )
    )
    return {name: int(size) for name, size in rows}


async def run(url: str, approvals: int) -> None:
    async with await Database.open(url) as database:
        await database.write(deploy, AGENT.name, AGENT.version, AGENT.definition(), by=LOCAL_OPERATOR)
        empty = await sizes(database)
        rate = await fill(database, approvals // 4)
        quarter = await latencies(database)
        rate = await fill(database, approvals - approvals // 4)
        whole = await latencies(database)
        began = time.perf_counter()
        head = await Sealer(database).seal_pending()
        sealing = head.sequence / (time.perf_counter() - began)
        full = await sizes(database)
    report(url.split(":", 1)[0], approvals, rate, head.sequence / approvals, sealing, quarter, whole, empty, full)


def report(
    kind: str,
    approvals: int,
    rate: float,
    events: float,
    sealing: float,
    quarter: dict[str, float],
    whole: dict[str, float],
    empty: dict[str, int],
    full: dict[str, int],
) -> None:
    """Prints what was measured, and what follows for a year."""
    grown = {table: (size - empty.get(table, 0)) / approvals for table, size in full.items()}
    bytes_each = sum(grown.values())
    say = print
    say(f"measured on {kind}, {approvals:,} executions with one approval each, {AT_ONCE} at once")
    say(f"  whole executions a second: {rate:,.0f}; events each: {events:.1f}; events sealed a second: {sealing:,.0f}")
    say(f"  bytes on disk an approval, with indexes: {bytes_each:,.0f}")
    for table, size in sorted(grown.items(), key=lambda item: -item[1]):
        if size >= 1 and len(grown) > 1:
            say(f"    {table}: {size:,.0f}")
    say(f"  milliseconds (median) at {approvals // 4:,} → at {approvals:,}:")
    for what, now in whole.items():
        say(f"    {what}: {quarter[what]:.2f} → {now:.2f}")
    average = PER_DAY / 86_400
    doublings = math.log2(YEAR / approvals)
    say(f"worked out for {PER_DAY:,} approvals a day")
    say(f"  {average:.1f} a second on average, {average * PEAK:.0f} in a busy second ({PEAK} × that, an assumption)")
    say(
        f"  the busy second needs {average * PEAK / rate:.0%} of the measured rate; "
        f"sealing takes {average * events / sealing:.1%} of a second each second"
    )
    say(
        f"  {bytes_each * PER_DAY / 1e9:.1f} GB a day, {bytes_each * YEAR / 1e12:.2f} TB and {YEAR * events / 1e9:.1f} "
        "billion events a year (bytes × rows)"
    )
    say(
        f"  the year's database is {doublings:.0f} doublings larger than this one: times above were measured while it "
        "fits in memory, and are no promise for one that does not"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--approvals", type=int, default=8_000)
    parser.add_argument("--database-url", default="", help="an empty database; a SQLite file in a temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.database_url or f"sqlite+aiosqlite:///{Path(folder) / 'scale.db'}"
        asyncio.run(run(url, given.approvals))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
