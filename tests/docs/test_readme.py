"""The README's agent and its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runtime import Agent, tool
from agent_runtime.testing import Kit, call, expect
from bot.scripted_model import Call, Calls
from tests.docs.pages import Page
from tests.sdk.conftest import ServeModel


def test_refunds(page: Page) -> None:
    with Kit(call("get_order", order_id="ORD-8821")) as kit:
        kit.model.says(call("process_refund", order_id="ORD-8821", amount=29.99), "Refunded.")
        handle = kit.start(page.run("refunds.py")["agent"], "Refund order ORD-8821")
        asked = kit.approve_next(by="@payments", via="slack")
        assert (asked["tool_name"], asked["reviewers"]) == ("process_refund", ["@payments"])
        expect(handle.get_result()).completed().tools_used_exactly(["get_order", "process_refund"])


@pytest.mark.databases("sqlite")
def test_script(page: Page, serve_model: ServeModel, environment: str, capsys: pytest.CaptureFixture[str]) -> None:
    serve_model([Calls((Call("process_refund", {"order_id": "ORD-8821", "amount": 29.99}),)), "Refunded."])
    page.run("script.py", agent=page.run("refunds.py")["agent"])
    assert capsys.readouterr().out == "Refunded.\n"


def test_checkpoints(page: Page, tmp_path: Path) -> None:
    @tool
    def delete_rows(table: str, where: str) -> str:
        return "deleted"

    page.write(tmp_path, "checkpoints.toml")
    with Kit(
        call("delete_rows", table="orders", where="id = 7"), checkpoints=str(tmp_path / "checkpoints.toml")
    ) as kit:
        kit.model.says("Deleted.")
        kit.start(Agent("cleaner", tools=[delete_rows]), "Delete order 7")
        [asked] = kit.pending()
        assert (asked["title"], asked["reviewers"]) == ("Delete orders rows where id = 7", ["@dba"])
