"""`countersign new`: the project that it makes passes its own tests, is tidy, and serves its agent at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from agent_runtime.errors import Conflict, InvalidRequest
from bot.cli.new import new
from tests.cli.command import REPOSITORY, Command, environment
from tests.e2e.process import ProductProcess

FILES = [
    ".env.example",
    ".gitignore",
    "README.md",
    "checkpoints.toml",
    "keeper.py",
    "pyproject.toml",
    "test_keeper.py",
]


@pytest.fixture
async def project(bare: Command) -> Path:
    answer = await bare.done("new", "keeper")
    assert "countersign serve --agents keeper:agents" in answer.said
    return bare.folder / "keeper"


def run_there(project: Path, *arguments: str) -> str:
    """A Python module's command in the project."""
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env=dict(environment()),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_its_own_tests_pass_and_it_is_tidy(project: Path) -> None:
    assert sorted(path.name for path in project.iterdir()) == FILES
    assert not any(word in path.read_text() for path in project.iterdir() for word in ("NEW_PROJECT", "VERSION"))
    plugins = ("-p", "no:cacheprovider", "-p", "no:asyncio")  # what a new environment has
    assert "4 passed" in run_there(project, "pytest", "-q", *plugins, "-W", "error")
    settings = ("--config", str(REPOSITORY / "pyproject.toml"), "--no-cache")
    run_there(project, "ruff", "check", *settings, ".", "--ignore", "S101")
    run_there(project, "ruff", "format", "--check", *settings, ".")


async def test_its_agent_is_served_at_once(project: Path, bare: Command) -> None:
    (project / ".env").write_text((project / ".env.example").read_text())
    settings = dict(environment() | bare.settings) | {"COUNTERSIGN_PORT": "0", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "bot", "serve", "--agents", "keeper:agents"]
    server = ProductProcess.start(command, settings, project)
    try:
        url = (await server.says(r"API and dashboard: (\S+)"))[1]
        await server.says("Agents: keeper")
        async with aiohttp.ClientSession(url) as http, http.get("/readyz") as ready:
            assert ready.status == 200, await ready.text()
        assert await server.stop() == 0
    finally:
        server.abandon()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my-agent", "Python module"),
        ("../elsewhere", "Python module"),
        ("Agent", "small letters"),
        ("class", "would hide"),
        ("json", "would hide"),
        ("agent_runtime", "would hide"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest, match=words):
        new(name)
    assert list(tmp_path.iterdir()) == []


async def test_a_refusal_is_a_usage_error(bare: Command) -> None:
    answer = await bare("new", "my-agent")
    assert answer.status == 2
    assert "NAME: 'my-agent'" in answer.said


async def test_nothing_that_is_there_is_touched(bare: Command) -> None:
    (bare.folder / "keeper").mkdir()
    (bare.folder / "keeper" / "mine.txt").write_text("mine")
    full = await bare("new", "keeper")
    assert full.status == 1
    assert "not empty" in full.said
    assert [path.name for path in (bare.folder / "keeper").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled_and_a_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keeper").mkdir()
    new("keeper")
    assert sorted(path.name for path in (tmp_path / "keeper").iterdir()) == FILES
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(Conflict, match="a file called taken"):
        new("taken")
    assert (tmp_path / "taken").read_text() == "mine"
