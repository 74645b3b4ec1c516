"""The programs in docs/from-agentspan.md, as they stand."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from bot.scripted_model import Call, Calls
from tests.docs.pages import Page
from tests.sdk.conftest import ServeModel

pytestmark = pytest.mark.databases("sqlite")

TURNS = [
    Calls((Call("count_subscribers", {"audience": "customers"}),)),
    Calls((Call("send_newsletter", {"audience": "customers", "subject": "Spring"}),)),
    "That is done.",
]


@pytest.fixture
def mailed() -> Counter[str]:
    """The letters that were sent."""
    return Counter()


@pytest.fixture
def supplied(mailed: Counter[str]) -> dict[str, Any]:
    def send(audience: str, subject: str, key: str) -> dict[str, Any]:
        assert key
        mailed[f"{subject} to {audience}"] += 1
        return {"sent": True}

    return {"crm": SimpleNamespace(count=len), "mailer": SimpleNamespace(send=send)}


@pytest.mark.parametrize(("typed", "sent"), [("y", {"Spring to customers": 1}), ("n", {})])
def test_newsletter(
    page: Page,
    serve_model: ServeModel,
    environment: str,
    supplied: dict[str, Any],
    mailed: Counter[str],
    capsys: pytest.CaptureFixture[str],
    typed: str,
    sent: dict[str, int],
) -> None:
    serve_model(TURNS)
    page.run("newsletter.py", **supplied, __name__="__main__", input=lambda prompt: typed)
    assert mailed == sent
    printed = capsys.readouterr().out
    assert printed.startswith("send_newsletter {'audience': 'customers', 'subject': 'Spring'}\n")
    assert "That is done." in printed


def test_decisions_from_elsewhere(
    page: Page, serve_model: ServeModel, environment: str, supplied: dict[str, Any], mailed: Counter[str]
) -> None:
    serve_model(TURNS)
    elsewhere = page.run("decisions.py")
    runtime = elsewhere["runtime"]
    handle = runtime.start(page.run("newsletter.py", **supplied)["agent"], "Tell our customers.")
    assert elsewhere["pending"](handle.execution_id) == [{"audience": "customers", "subject": "Spring"}]
    elsewhere["reject"](handle.execution_id, "not now")
    assert handle.get_result().is_rejected
    assert mailed == {}
    runtime.close()


def test_watching(
    page: Page,
    serve_model: ServeModel,
    environment: str,
    supplied: dict[str, Any],
    mailed: Counter[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve_model(TURNS)
    page.run("watching.py", agent=page.run("newsletter.py", **supplied)["agent"])
    assert mailed == {"Spring to customers": 1}
    assert capsys.readouterr().out.splitlines() == [
        "calls count_subscribers {'audience': 'customers'}",
        "calls send_newsletter {'audience': 'customers', 'subject': 'Spring'}",
        "That is done.",
    ]
