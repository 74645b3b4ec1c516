"""The database goes away and comes back: nobody is told a success that was not committed, and nothing needs a
restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy.engine import make_url

from agent_runtime.agent import Agent
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidSetting, StoreUnavailable
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.start import Start, start
from agent_runtime.store.database import Database
from agent_runtime.store.executions import BY_IDEMPOTENCY_KEY
from agent_runtime.store.faults import OutcomeUnknown
from agent_runtime.store.postgres import connecting, writer
from agent_runtime.store.tx import Tx
from tests.databases import run_sql
from tests.proxy import Proxy, proxy_to
from tests.store.work import KEYS, at_once, insert, insert_later, keys

pytestmark = pytest.mark.databases("postgresql")

_CUT_OFF = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1
"""


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    url = make_url(database_url)
    async with proxy_to(str(url.host), url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def proxied(database_url: str, proxy: Proxy) -> AsyncIterator[Database]:
    """A database that is reached through `proxy`."""
    async with await Database.open(through(proxy, database_url)) as database:
        yield database


def through(proxy: Proxy, database_url: str) -> str:
    url = make_url(database_url).set(host="127.0.0.1", port=proxy.port, query={"sslmode": "disable"})
    return url.render_as_string(hide_password=False)


async def test_writers_that_were_cut_off_go_on(database: Database, database_url: str) -> None:
    await run_sql(database_url, _CUT_OFF, "countersign writer")
    answers = await at_once(*((database, insert, f"{number:03}") for number in range(200)))
    assert answers == [f"{number:03}" for number in range(200)]


async def test_readers_that_were_cut_off_go_on(database: Database, database_url: str) -> None:
    await database.write(insert, "a")
    await asyncio.gather(*(database.all(KEYS) for _ in range(20)))
    await run_sql(database_url, _CUT_OFF, "countersign reader")
    assert [await keys(database) for _ in range(20)] == [["a"]] * 20


async def test_a_batch_whose_connection_breaks_before_the_commit_is_run_again(proxied: Database, proxy: Proxy) -> None:
    proxy.cut_before = b"INSERT INTO inbox"
    answers = await at_once((proxied, insert, "a"), (proxied, insert_later, "b"))
    assert answers == ["a", "b"]
    assert await keys(proxied) == ["a", "b"]


async def test_a_commit_that_never_arrived_is_not_told_as_a_success(proxied: Database, proxy: Proxy) -> None:
    proxy.cut_before = b"COMMIT;"
    with pytest.raises(OutcomeUnknown, match="may or may not"):
        await proxied.write(insert, "a")
    assert await keys(proxied) == []
    assert await proxied.write(insert, "a") == "a"


async def test_a_commit_whose_answer_was_lost_is_told_as_unknown(proxied: Database, proxy: Proxy) -> None:
    proxy.cut_after = b"COMMIT;"
    answers = await at_once((proxied, insert, "a"), (proxied, insert_later, "b"))
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 2
    assert await keys(proxied) == ["a", "b"]


async def test_while_it_is_away_work_is_refused_and_later_it_goes_on(proxied: Database, proxy: Proxy) -> None:
    await proxied.write(insert, "before")
    await proxy.vanish()
    answers = await at_once(*((proxied, insert, f"{number:03}") for number in range(150)))
    assert {type(answer) for answer in answers} == {StoreUnavailable}
    assert all("cannot be reached" in answer.message for answer in answers)
    with pytest.raises(StoreUnavailable):
        await proxied.all(KEYS)
    await proxy.listen()
    assert await proxied.write(insert, "after") == "after"
    assert await keys(proxied) == ["after", "before"]


async def test_others_are_heard_again_after_an_outage(proxied: Database, proxy: Proxy) -> None:
    with proxied.wakes.listen("topic") as waiting:
        await proxy.vanish()
        await proxy.listen()
        await asyncio.wait_for(waiting.wait(), 10)


async def test_closing_while_it_is_away(proxied: Database, proxy: Proxy) -> None:
    await proxy.vanish()
    waiting = asyncio.create_task(proxied.write(insert, "a"))
    await asyncio.sleep(0)
    await proxied.close()
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_a_loop_that_ends_in_the_middle_leaves_nobody_waiting(database: Database) -> None:
    """What `asyncio.run` does at the end of a process: every task is cancelled, the writers' too."""
    started = asyncio.Event()

    def insert_slowly(tx: Tx, key: str) -> str:
        started.set()
        return insert(tx, key)

    waiting = [asyncio.create_task(database.write(insert_slowly, f"{number:03}")) for number in range(20)]
    await started.wait()
    for task in asyncio.all_tasks():
        if task.get_name().startswith("countersign-writer"):
            task.cancel()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {OutcomeUnknown}
    assert await keys(database) == []


async def test_a_server_that_is_too_old(database_url: str, proxy: Proxy) -> None:
    proxy.replace = (b"server_version\x0018.", b"server_version\x0014.")
    with pytest.raises(InvalidSetting, match=r"PostgreSQL 14\.\d+; Countersign needs 15 or newer"):
        await Database.open(through(proxy, database_url))


async def test_a_standby(database_url: str, proxy: Proxy) -> None:
    proxy.replace = (b"in_hot_standby\x00off\x00", b"in_hot_standby\x00on\x00\x00")
    with pytest.raises(StoreUnavailable, match="read-only"):
        await Database.open(through(proxy, database_url))


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_commit_in_a_black_hole_is_told_as_unknown_and_asking_tells(
    database_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    """Nothing is closed and nothing is said: given up after a while; the database itself knows what became of it."""
    impatient = replace(connecting.WRITING, answer_within=0.3)
    monkeypatch.setattr(writer, "WRITING", impatient)
    async with (
        await Database.open(through(proxy, database_url)) as database,
        await Database.open(database_url) as truth,
    ):
        await deployed(truth)
        if arrived:
            proxy.silent_after = b"COMMIT;"
        else:
            proxy.silent_before = b"COMMIT;"
        wanted = Start("an_agent", {"prompt": "Go"}, idempotency_key="order-1")
        with pytest.raises(OutcomeUnknown, match="may or may not"):
            await database.write(start, wanted, by=LOCAL_OPERATOR, via=Via.api)
        proxy.silent.clear()
        there = await truth.one(
            BY_IDEMPOTENCY_KEY, b_requested_by=LOCAL_OPERATOR.principal, b_agent="an_agent", b_key="order-1"
        )
        assert (there is not None) == arrived
        again = await database.write(start, wanted, by=LOCAL_OPERATOR, via=Via.api)
        assert again.created != arrived, "asking again under the same key finds it, or starts it now"
        assert there is None or again.execution.execution_id == there.execution_id


async def deployed(database: Database) -> None:
    agent = Agent("an_agent")
    await database.write(deploy, agent.name, agent.version, agent.definition(), by=LOCAL_OPERATOR)
