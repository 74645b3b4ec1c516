"""What a program pays at its start: nothing that its path does not need is imported."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("openai", "aiohttp", "alembic", "asyncpg", "typer", "slack_sdk", "slack_bolt", "jinja2")


def imported_by(code: str) -> set[str]:
    """The top-level packages that are there after `code`."""
    listing = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_alone_imports_nothing_else() -> None:
    assert imported_by("import agent_runtime").isdisjoint({*SLOW, "sqlalchemy", "pydantic", "structlog", "asyncio"})


def test_a_program_on_a_database_imports_no_server_and_no_client() -> None:
    assert imported_by("from agent_runtime import Agent, AgentRuntime, tool").isdisjoint(SLOW)
