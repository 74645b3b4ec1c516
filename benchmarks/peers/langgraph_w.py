"""W on LangGraph: a graph of four nodes, `interrupt()` in the third, its own checkpointers."""

from __future__ import annotations

import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.measuring import Subject
from benchmarks.peers.running import main, not_installed

try:
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command, interrupt
except ImportError:
    not_installed()


class State(TypedDict, total=False):
    order: int
    first: dict[str, int]
    second: dict[str, int]
    decision: dict[str, Any]
    result: dict[str, Any]


async def first(state: State) -> State:
    return {"first": {"step": 1, "order": state["order"]}}


async def second(state: State) -> State:
    return {"second": {"step": 2, "order": state["order"]}}


async def gate(state: State) -> State:
    return {"decision": interrupt({"tool": "refund", "order": state["order"]})}


async def refund(state: State) -> State:
    return {"result": {"ok": True, "order": state["order"]}}


class LangGraph(Subject):
    name = "langgraph"

    def __init__(self, graph: Any, opened: Any) -> None:
        self._graph = graph
        self._opened = opened  # its end would close the saver

    async def start(self, number: int) -> str:
        run = str(uuid.uuid4())
        state = await self._graph.ainvoke({"order": number}, self._config(run))
        assert "__interrupt__" in state
        return run

    async def decide(self, run: str) -> None:
        state = await self._graph.ainvoke(Command(resume={"approved": True}), self._config(run))
        assert state["result"]["ok"]

    async def done(self, run: str) -> None:
        """The decision returns when the graph has ended."""

    async def close(self) -> None:
        """The process ends with it."""

    def _config(self, run: str) -> dict[str, Any]:
        return {"configurable": {"thread_id": run}}


async def opened(kind: str, where: str) -> LangGraph:
    graph = StateGraph(State)
    nodes = {"first": first, "second": second, "gate": gate, "refund": refund}
    for name, node in nodes.items():
        graph.add_node(f"do_{name}", node)
    steps = [START, *(f"do_{name}" for name in nodes), END]
    for before, after in pairwise(steps):
        graph.add_edge(before, after)
    if kind == "sqlite":
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        opening: Any = AsyncSqliteSaver.from_conn_string(str(Path(where) / f"langgraph-{uuid.uuid4().hex}.db"))
        saver: Any = await opening.__aenter__()
    else:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool

        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: Any = AsyncConnectionPool(where, min_size=20, max_size=20, open=False, kwargs=options)
        await pool.open()
        opening = pool
        saver = AsyncPostgresSaver(pool)
    await saver.setup()
    return LangGraph(graph.compile(checkpointer=saver), opening)


if __name__ == "__main__":
    main(opened)
