"""The main job on the workspace's real page in Chromium, as a person sees it and clicks it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import chromium
from tests.e2e.conftest import NewStack, StartDemo
from tests.e2e.room import REQUESTER
from tests.e2e.stack import ESCALATIONS, ON_CALL, REVIEWER, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

ROLLOUT = "Review change CHG-901 and execute if safe."
SLOW = 15_000
"""Milliseconds for what takes the bot a moment."""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """An empty page; an error in its scripts fails the test."""
    problems: list[str] = []
    async with chromium() as browser:
        opened = await browser.new_page(viewport={"width": 1360, "height": 900}, color_scheme="light")
        opened.set_default_timeout(SLOW)
        opened.on("pageerror", lambda error: problems.append(str(error)))
        yield opened
        await opened.close()
    assert problems == []


class Screen:
    """What stands in the thread, and a picture of it at every step in `folder`."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.thread = page.get_by_test_id("thread-pane")
        self._folder = folder
        self._pictures = 0

    async def is_user(self, user: str) -> None:
        await self.page.get_by_test_id(f"user-switch-{user}").click()
        await expect(self.page.get_by_test_id(f"user-switch-{user}")).to_have_attribute("aria-pressed", "true")

    def message(self, *words: str) -> Locator:
        """The thread's latest message in which all these words stand."""
        found = self.thread.locator("[data-testid^=message-]")
        for word in words:
            found = found.filter(has_text=word)
        return found.last

    async def sees(self, *words: str) -> Locator:
        shown = self.message(*words)
        await expect(shown).to_be_visible(timeout=SLOW)
        return shown

    async def open_card(self, *words: str) -> Locator:
        card = self.thread.locator("[data-testid^=message-]").filter(has=self.page.get_by_test_id(APPROVE))
        for word in words:
            card = card.filter(has_text=word)
        await expect(card).to_have_count(1, timeout=SLOW)
        return card

    async def approves(self, card: Locator) -> None:
        await card.get_by_test_id(APPROVE).click()
        dialog = self.page.get_by_test_id("confirm")
        await expect(dialog).to_contain_text("Approve this call?")
        await self.picture()
        await dialog.get_by_test_id("confirm-ok").click()
        await expect(dialog).to_be_hidden()

    async def fills_in(self, card: Locator, button: str, words: str) -> None:
        await card.get_by_test_id(f"action-approval.{button}").click()
        modal = self.page.get_by_test_id("modal")
        await expect(modal).to_be_visible(timeout=SLOW)
        await modal.get_by_role("textbox").fill(words)
        await self.picture()
        await modal.get_by_test_id("modal-submit").click()
        await expect(modal).to_be_hidden(timeout=SLOW)

    async def says(self, text: str) -> None:
        await self.page.get_by_test_id("composer").fill(text)
        await self.page.get_by_test_id("composer").press("Enter")

    async def picture(self) -> None:
        self._pictures += 1
        path = self._folder / f"{self._pictures:02}.png"
        await self.page.screenshot(path=path)
        assert path.stat().st_size > 10_000


APPROVE = "action-approval.approve"


async def no_buttons(card: Locator) -> None:
    await expect(card.locator("[data-testid^=action-]")).to_have_count(0, timeout=SLOW)


async def test_the_main_job_on_the_page_of_the_demo(page: Page, start_demo: StartDemo, tmp_path: Path) -> None:
    demo = start_demo()
    await page.goto((await demo.says(r"Slack sandbox: (\S+)"))[1])
    screen = Screen(page, tmp_path)
    card = await screen.open_card("Approval needed: process_refund", 'order_id: "ORD-8821"')
    await screen.sees("Waiting for approval", "process_refund — waits for approval")
    await screen.picture()

    await screen.approves(card)
    await screen.sees("You can't decide this", "you asked for this", "@First Reviewer")
    await expect(card.get_by_test_id(APPROVE)).to_be_visible()
    await screen.is_user(REVIEWER)
    await screen.approves(card)
    approved = await screen.sees("Approved by @First Reviewer in Slack", "The call ran", "refunded: true")
    await no_buttons(approved)
    await screen.sees("@Alex", "Done", "$29.99 was refunded to Alex for order ORD-8821.")
    await screen.picture()

    await page.get_by_test_id("scenario-refund").click()
    await screen.is_user(REVIEWER)
    await screen.fills_in(await screen.open_card(), "reject", "The parcel never came back.")
    rejected = await screen.sees("Rejected by @First Reviewer", "The parcel never came back.", "apr_")
    await no_buttons(rejected)
    await screen.sees("@Alex", "refund_agent answers", "The parcel never came back.")
    await screen.picture()

    await page.get_by_test_id("scenario-refund").click()
    await screen.is_user(REVIEWER)
    await screen.fills_in(await screen.open_card("29.99"), "request_changes", "Refund only 10.00, please.")
    await screen.sees("Changes requested by @First Reviewer", "Refund only 10.00, please.", "apr_")
    card = await screen.open_card("amount: 10")
    await page.get_by_test_id("server-kill").click()
    await expect(page.get_by_test_id("connection")).to_have_text("Bot offline", timeout=SLOW)
    await screen.approves(card)
    await expect(page.get_by_test_id("toast")).to_contain_text("offline")
    await screen.picture()
    await page.get_by_test_id("server-start").click()
    await expect(page.get_by_test_id("connection")).to_have_text(re.compile("Bot connected"), timeout=30_000)
    await screen.approves(await screen.open_card("amount: 10"))
    await screen.sees("@Alex", "Done: $10.00 was refunded to Alex")
    await expect(screen.thread.get_by_test_id(APPROVE)).to_have_count(0)
    await screen.picture()


async def opened(stack: Stack, page: Page, tmp_path: Path) -> Screen:
    """The page as the requester sees it, in a room of the test's own."""
    await page.goto(f"{stack.sandbox.url}/#user={REQUESTER}&channel={stack.new_room()}")
    await expect(page.get_by_test_id("connection")).to_have_text(re.compile("Bot connected"))
    return Screen(page, tmp_path)


@pytest.mark.variants("sqlite-socket")
async def test_nobody_answers_on_the_page(page: Page, new_stack: NewStack, tmp_path: Path) -> None:
    screen = await opened(await new_stack(), page, tmp_path)
    await screen.says(f"@Countersign quick_rollout {ROLLOUT}")
    await screen.open_card("Approval needed: execute_rollout")
    await screen.sees("Reminder", "@First Reviewer, @Second Reviewer", "It expires")
    await screen.sees("Escalated", "@On Call", "you may decide this now too")
    await screen.picture()
    await screen.is_user(ON_CALL)
    elsewhere = page.get_by_test_id(f"channel-{ESCALATIONS}")
    await expect(elsewhere.get_by_role("img", name="unread")).to_be_visible()
    expired = await screen.sees("Expired", "nobody decided in time", "apr_")
    await no_buttons(expired)
    await screen.sees("Expired.", "It was about to expire")
    await screen.sees("@Alex", "quick_rollout answers", "expired")
    await expect(screen.thread.get_by_test_id(APPROVE)).to_have_count(0)
    await screen.picture()
    await elsewhere.click()
    escalated = page.get_by_test_id("messages").locator("[data-testid^=message-]").filter(has_text="execute_rollout")
    await expect(escalated).to_contain_text("Expired")
    await no_buttons(escalated)
    await screen.picture()


@pytest.mark.variants("sqlite-socket")
async def test_more_time_on_the_page(page: Page, new_stack: NewStack, tmp_path: Path) -> None:
    screen = await opened(await new_stack(), page, tmp_path)
    await screen.says(f"@Countersign patient_rollout {ROLLOUT}")
    card = await screen.open_card()
    await screen.is_user(REVIEWER)
    await card.get_by_test_id("action-approval.details").click()
    await page.get_by_role("menuitem", name="More time").click()
    await screen.sees("More time", "it now expires")
    card = await screen.open_card("extended 1×")
    await screen.picture()
    await screen.approves(card)
    await screen.sees("Approved by @First Reviewer", "The call ran")
    await expect(screen.thread.get_by_test_id(APPROVE)).to_have_count(0)
