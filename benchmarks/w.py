"""W: one at a time and 100 at once, on both databases, in process and over HTTP, against the raw driver and peers.

Floor, product and peers run in turn in the same minutes; a peer runs in a process of its own, from the virtual
environment that has it (`make bench PEERS=1` makes one).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from benchmarks.extent import FULL
from benchmarks.floor import PostgresFloor, SqliteFloor
from benchmarks.measuring import Figures, Subject, measure
from benchmarks.product import HttpProduct, PlainProduct, Product, ReasonerProduct
from benchmarks.table import show
from tests.postgres import server_url

ROUNDS, RUNS, ONE_BY_ONE = (3, 1000, 100) if FULL else (1, 200, 20)
PRODUCTS = (Product, PlainProduct, ReasonerProduct, HttpProduct)
PEERS_PYTHON = Path(os.environ.get("PEERS_PYTHON", ".venv-peers/bin/python"))
PEERS = {
    "sqlite": ("langgraph_w", "openai_agents_w", "pydantic_ai_w"),
    "postgresql": ("langgraph_w", "dbos_w"),
}


async def on_sqlite(folder: Path) -> None:
    """Everything has synchronous=FULL; the product says so, and the floor."""
    urls = [f"sqlite+aiosqlite:///{folder / f'product-{number}.db'}" for number in range(len(PRODUCTS))]
    subjects: list[Subject] = [SqliteFloor(folder)]
    subjects += [await product.open(url) for product, url in zip(PRODUCTS, urls, strict=True)]
    await _compare("sqlite", subjects, [str(folder)])


async def on_postgresql(folder: Path) -> None:
    """A server of its own, with fsync."""
    with server_url(durable=True) as url:
        dsn = url.replace("postgresql+asyncpg", "postgresql")
        names = [f"bench_{uuid.uuid4().hex[:8]}" for _ in range(len(PRODUCTS) + 2)]
        connection = await asyncpg.connect(f"{dsn}/postgres")
        for name in names:
            await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        subjects: list[Subject] = [await PostgresFloor.open(f"{dsn}/{names[0]}")]
        for product, name in zip(PRODUCTS, names[1:], strict=False):
            subjects.append(await product.open(f"{url}/{name}"))
        await _compare("postgresql", subjects, [f"{dsn}/{names[-1]}"])


async def _compare(kind: str, subjects: Sequence[Subject], where: Sequence[str]) -> None:
    try:
        peers = {name: _peer(name, kind, where) for name in PEERS[kind]}
        found = dict(await measure(subjects, ROUNDS, RUNS, ONE_BY_ONE))
        for subject in subjects:
            await subject.check()
        again = {name: _peer(name, kind, where) for name in PEERS[kind]}
    finally:
        for subject in subjects:
            await subject.close()
    for name, figures in peers.items():
        if figures is not None and (second := again[name]) is not None:  # before and after; the better of both
            best = {key: (min if key.endswith("_ms") else max)(figures[key], second[key]) for key in figures}
            found[name.removesuffix("_w")] = best
    show("W", found, floor=subjects[0].name, database=kind, rounds=ROUNDS, runs=RUNS, at_once=100)


def _peer(name: str, kind: str, where: Sequence[str]) -> Figures | None:
    """A peer's figures, or None where it is not installed."""
    python = str(PEERS_PYTHON if PEERS_PYTHON.exists() else sys.executable)
    command = [python, "-m", f"benchmarks.peers.{name}", kind, *where, str(RUNS), str(ONE_BY_ONE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode == 3:
        return None
    if done.returncode != 0:
        print(f"{name}: {done.stderr.strip()[-400:]}", file=sys.stderr)
        return None
    figures: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return figures
