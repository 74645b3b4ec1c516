"""What every command has in common: help, usage errors, settings, secrets, a missing database."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.cli.command import REPOSITORY, Command

COMMANDS = (
    "serve",
    "demo",
    "new",
    "doctor",
    "manifest",
    "db upgrade",
    "executions list",
    "executions show",
    "executions start",
    "executions cancel",
    "executions events",
    "approvals list",
    "approvals show",
    "approvals approve",
    "approvals reject",
    "approvals request-changes",
    "approvals settle",
    "tokens create",
    "tokens list",
    "tokens revoke",
)


@pytest.mark.parametrize("name", ["", "executions", "approvals", "tokens", "db", *COMMANDS])
async def test_help(bare: Command, name: str) -> None:
    answer = await bare.done(*name.split(), "--help")
    assert f"{' '.join(['python -m bot', *name.split()])} " in answer.said
    assert answer.err == ""


async def test_help_lists_every_command(bare: Command) -> None:
    groups = {name.split()[0] for name in COMMANDS}
    listed = (await bare.done("--help")).said
    assert all(f" {group} " in listed for group in groups)


def test_help_needs_no_heavy_imports() -> None:
    heavy = "sqlalchemy pydantic aiohttp slack_sdk openai"
    code = f"import bot.cli, sys; print(*[name for name in {heavy.split()} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


async def test_version(bare: Command) -> None:
    assert (await bare.done("--version")).out.startswith("countersign ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["approvals", "show"],
        ["approvals", "list", "--limit", "0"],
        ["approvals", "settle", "apr_1", "perhaps"],
        ["manifest", "--mode", "perhaps"],
        ["stop", "name", "--kind", "perhaps"],
        ["approvals", "request-changes", "apr_1"],
        ["tokens", "create", "ci"],
    ],
)
async def test_usage_errors_have_status_2(countersign: Command, arguments: list[str]) -> None:
    answer = await countersign(*arguments)
    assert answer.status == 2, answer
    assert "Usage:" in answer.err
    assert "Traceback" not in answer.err
    assert "Value error" not in answer.said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"COUNTERSIGN_DATABASE_URL": "mysql://root:hunter2secret@db/x"},
            ["COUNTERSIGN_DATABASE_URL", "not supported"],
        ),
        ({"COUNTERSIGN_DATABASE_URL": "sqlite:///no/such/folder/x.db"}, ["COUNTERSIGN_DATABASE_URL", "does not exist"]),
        ({"COUNTERSIGN_APPROVAL_WEBHOOK_SECRET": "short"}, ["COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", "at least 16"]),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named_with_the_remedy(
    countersign: Command, settings: dict[str, str], words: list[str]
) -> None:
    answer = await countersign("executions", "list", **settings)
    assert answer.status == 2
    assert all(word in answer.err for word in words)
    assert "Traceback" not in answer.err
    assert "hunter2secret" not in answer.err


async def test_the_example_settings_work_as_they_are(bare: Command) -> None:
    (bare.folder / ".env").write_text((REPOSITORY / ".env.example").read_text())
    await bare.done("db", "upgrade")
    answer = await bare.done("approvals", "list")
    assert answer.out == "nothing waits for a decision\n"


async def test_in_the_wrong_folder_nothing_is_created(bare: Command) -> None:
    listing, starting = await asyncio.gather(bare("approvals", "list"), bare("executions", "start", "agent", "do it"))
    for answer in (listing, starting):
        assert answer.status == 1
        assert "there is no database countersign.db" in answer.err
        assert "COUNTERSIGN_DATABASE_URL" in answer.err
    assert list(bare.folder.iterdir()) == []
