"""What a program pays at its start: nothing that its path does not need is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SLOW = ("openai", "aiohttp", "alembic", "asyncpg", "typer", "slack_sdk", "slack_bolt", "jinja2", "yarl")
STORE = ("sqlalchemy", "aiosqlite", "apscheduler")
ON_SQLITE = "from agent_runtime import Agent, AgentRuntime, tool; AgentRuntime('sqlite+aiosqlite:///unused.db')"
ON_A_SERVER = "from agent_runtime import Agent, AgentRuntime, tool; AgentRuntime(server_url='http://127.0.0.1:8080')"


def imported_by(code: str, *, depth: int = 1) -> set[str]:
    """The packages that are there after `code`, by the first `depth` parts of their names."""
    listing = f"{code}\nimport sys; print(*{{'.'.join(name.split('.')[:{depth}]) for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_alone_imports_nothing_else() -> None:
    assert imported_by("import agent_runtime").isdisjoint({*SLOW, "sqlalchemy", "pydantic", "structlog", "asyncio"})


def test_a_program_on_a_database_imports_no_server_and_no_client() -> None:
    imported = imported_by(ON_SQLITE)
    assert imported.isdisjoint(SLOW)
    assert imported.issuperset(STORE), "what it needs is imported when it is made, not while somebody waits"


def test_a_program_on_sqlite_imports_nothing_of_postgresql() -> None:
    assert "sqlalchemy.dialects.postgresql" not in imported_by(ON_SQLITE, depth=3)


def test_a_program_on_a_server_imports_no_database() -> None:
    assert imported_by(ON_A_SERVER).isdisjoint({*SLOW, *STORE})


def test_where_slack_is_not_configured_nothing_of_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLACK_")]:
        monkeypatch.delenv(name)
    opened = "from agent_runtime.replica import configured_surfaces; assert configured_surfaces(None) == []"
    assert imported_by(opened).isdisjoint({"slack_bolt", "slack_sdk", "aiohttp"})
