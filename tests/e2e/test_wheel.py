"""The wheel, installed into an environment that holds nothing else, runs the demo from an empty folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import aiohttp
import pytest
from uv import find_uv_bin

from tests.e2e.process import REPOSITORY, ProductProcess, environment
from tests.e2e.room import DECIDE, buttons
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (built,) = folder.glob("*.whl")
    return built


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_holds_the_packages_the_page_and_the_samples_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"agent_runtime", "bot"}
    for needed in (
        "agent_runtime/py.typed",
        "bot/sandbox/page/index.html",
        "bot/samples/refund_agent.py",
        "bot/template/agents.py.template",
        "bot/samples/prod_change_demo.py",
    ):
        assert needed in names
    assert [name for name in names if "__pycache__" in name or name.endswith((".db", ".env"))] == []


async def test_it_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    clean, empty = tmp_path / "clean", tmp_path / "empty"
    empty.mkdir()
    uv = find_uv_bin()
    run(uv, "venv", "--quiet", "--python", sys.executable, str(clean))
    python = str(clean / "bin" / "python")
    lock = str(REPOSITORY / "requirements.lock")
    run(uv, "pip", "install", "--quiet", "--python", python, "--constraint", lock, str(wheel))
    settings = environment(COUNTERSIGN_PORT="0", COUNTERSIGN_SANDBOX_PORT="0")
    del settings["PYTHONPATH"]
    demo = ProductProcess.start([str(clean / "bin" / "countersign"), "demo"], settings, empty, "demo")
    try:
        sandbox = (await demo.says(r"Slack sandbox: (\S+)", within=60))[1]
        async with aiohttp.ClientSession() as http:
            url = f"{sandbox}/sandbox/api/channels/C0AGENTS001/messages"

            async def shows_a_card() -> bool:
                async with http.get(url) as answer:
                    return any(buttons(message) == DECIDE for message in (await answer.json())["messages"])

            await until(shows_a_card, "the first card", explain=demo.tail)
            async with http.get(f"{sandbox}/") as answer:
                assert "Local workspace" in await answer.text()
        assert await demo.stop(signal.SIGINT) == 0
    finally:
        demo.abandon()
