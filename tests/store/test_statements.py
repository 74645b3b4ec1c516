"""Every statement is one that both databases understand, and returns what its rows are built from."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from agent_runtime import store
from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.errors import InvalidRequest
from agent_runtime.store.approvals import list_approvals
from agent_runtime.store.database import Database
from agent_runtime.store.executions import claim_queued, list_executions
from agent_runtime.store.rows import approval_request
from agent_runtime.store.statement import Q
from tests.store.work import at_once, insert, keys


def statements() -> Iterator[tuple[str, Q[Any]]]:
    """Every statement of the store's modules, and of the functions that make some."""
    for module in pkgutil.iter_modules(store.__path__):
        if not module.ispkg:
            members = vars(importlib.import_module(f"{store.__name__}.{module.name}"))
            yield from ((f"{module.name}.{name}", q) for name, q in members.items() if isinstance(q, Q))
    yield "claim_queued", claim_queued(["refund_agent", "it's"])
    for make in (list_approvals, list_executions):
        flags = inspect.signature(make).parameters
        for chosen in range(1 << len(flags)):
            given = {flag: bool(chosen >> bit & 1) for bit, flag in enumerate(flags)}
            yield f"{make.__name__}({given})", make(**given)


ALL = dict(statements())
_VALUE_OF_A_NAME = "1"


def columns_of(q: Q[Any]) -> int | None:
    """How many columns the statement's rows are built from; None where any number will do."""
    if q.row is approval_request:
        return len(ApprovalRequest._fields)
    if dataclasses.is_dataclass(q.row):
        return len(dataclasses.fields(q.row))
    return len(q.row._fields) if hasattr(q.row, "_fields") else None


@pytest.mark.databases("postgresql")
async def test_postgresql_prepares_every_statement(database_url: str) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        for name, q in ALL.items():
            try:
                prepared = await connection.prepare(q.compiled("postgresql").sql)
            except asyncpg.PostgresError as error:
                raise AssertionError(f"{name}: {error}") from error
            assert columns_of(q) in {None, len(prepared.get_attributes())}, name
            assert len(prepared.get_parameters()) == len(q.compiled("postgresql").order), name
    finally:
        await connection.close()


@pytest.mark.databases("sqlite")
def test_sqlite_runs_every_statement(database_url: str) -> None:
    with closing(sqlite3.connect(make_url(database_url).database or "", isolation_level=None)) as connection:
        for name, q in ALL.items():
            compiled = q.compiled("sqlite")
            binds = dict.fromkeys(q.compiled("postgresql").order, _VALUE_OF_A_NAME)
            connection.execute("SAVEPOINT test")
            cursor = connection.execute(compiled.sql, compiled.named(binds))
            if cursor.description is not None:
                assert columns_of(q) in {None, len(cursor.description)}, name
            connection.execute("ROLLBACK TO test")
            connection.execute("RELEASE test")


def test_no_bind_has_the_name_of_a_column_that_it_is_not() -> None:
    """SQLAlchemy keeps a column's own name for its insert values; other binds begin with b_."""
    for name, q in ALL.items():
        others = set(q.compiled("postgresql").order) - set(q.columns or ()) - set(q.compiled("postgresql").constants)
        assert all(bind.startswith("b_") for bind in others), name


def test_conditions_of_indexes_are_in_the_text() -> None:
    for name, q in ALL.items():
        constants = q.compiled("postgresql").constants
        assert constants == {}, name


async def test_text_that_is_no_text_is_refused_as_such(database: Database) -> None:
    """Its neighbours in the batch don't notice."""
    half = "\ud83d"
    answers = await at_once((database, insert, "a"), (database, insert, half), (database, insert, "b"))
    assert [answers[0], answers[2]] == ["a", "b"]
    assert isinstance(answers[1], InvalidRequest)
    assert await keys(database) == ["a", "b"]


@pytest.mark.databases("postgresql")
async def test_a_character_that_postgresql_cannot_hold(database: Database) -> None:
    answers = await at_once((database, insert, "a"), (database, insert, "nul \0"), (database, insert, "b"))
    assert [answers[0], answers[2]] == ["a", "b"]
    assert isinstance(answers[1], InvalidRequest)
    assert "NUL" in answers[1].message
