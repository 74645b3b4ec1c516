"""The reviewer's page in a real browser: what people see, decide and hear of, and that nothing shown can take over."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.duration import SECOND
from agent_runtime.operations.sweep import sweep
from tests.browser import chromium
from tests.web.conftest import Api, World

pytestmark = [pytest.mark.browser, pytest.mark.databases("sqlite")]

HOSTILE = (
    "<img src=x onerror=\"window.hit='img'\"><script>window.hit=1</script></pre><svg onload=window.hit=2>\u202e{{7*7}}"
)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page; an error in its scripts, or a breach of its content security policy, fails the test."""
    problems: list[str] = []
    opened = await browser.new_page(viewport={"width": 1200, "height": 900})
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
    yield opened
    assert await opened.evaluate("window.hit") is None
    await opened.close()
    assert problems == []


async def opened(page: Page, api: Api, path: str = "/reviews") -> None:
    await page.goto(api.url + path)
    await expect(page.locator("#live-words")).to_have_text("live")


def card(page: Page, approval: ApprovalRequest) -> Locator:
    return page.get_by_test_id(f"approval-{approval.approval_request_id}")


def decided(page: Page, approval: ApprovalRequest) -> Locator:
    return page.get_by_test_id(f"decided-{approval.approval_request_id}")


async def test_approve_reject_and_request_changes(page: Page, api: Api, world: World) -> None:
    first, second, third = [await world.waiting(arguments={"order": f"ORD-{number}"}) for number in range(3)]
    await opened(page, api, "/")
    await expect(page).to_have_title("(3) Reviews · Countersign")
    # Approve asks once more, by the keyboard alone; "Not now" decides nothing.
    approve = card(page, first).get_by_role("button", name="Approve")
    await approve.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Approve this?")
    await expect(dialog).to_contain_text("ORD-0")
    await page.keyboard.press("Enter")  # a second one approves nothing
    await expect(dialog).to_be_hidden()
    assert (await world.approval(first)).pending
    await card(page, first).get_by_label("Comment").fill("Within the limit.")
    await approve.click()
    await dialog.get_by_role("button", name="Yes, approve").click()
    await expect(decided(page, first)).to_contain_text("Approved")
    await expect(decided(page, first)).to_contain_text("Within the limit.")
    await expect(decided(page, first)).to_contain_text("by local:operator on the dashboard")
    await expect(card(page, first)).to_have_count(0)

    await card(page, second).get_by_role("button", name="Reject").click()
    await expect(decided(page, second)).to_contain_text("Rejected")

    await card(page, third).get_by_role("button", name="Request changes").click()
    await expect(card(page, third).get_by_role("alert")).to_contain_text("Say in the comment what should change")
    await card(page, third).get_by_label("Comment").fill("Only 19.99.")
    await card(page, third).get_by_role("button", name="Request changes").click()
    await expect(decided(page, third)).to_contain_text("Changes requested")
    await expect(page.get_by_test_id("empty")).to_contain_text("Nothing waits")
    ended = [await world.approval(approval) for approval in (first, second, third)]
    assert [approval.status for approval in ended] == ["approved", "rejected", "request_changes"]
    assert {approval.resolution["via"] for approval in ended if approval.resolution} == {"dashboard"}


async def test_what_is_shown_cannot_take_over(page: Page, api: Api, world: World) -> None:
    approval = await world.waiting(
        arguments={"note": HOSTILE, HOSTILE: 1, "path": "x" * 400}, reviewers=(HOSTILE,), rules=(HOSTILE,)
    )
    asked = {"request_id": "req-1", "action_description": HOSTILE, "agent_context": {HOSTILE: HOSTILE}}
    assert (await api.post("/pending", asked)).status == 201
    for path in ("/reviews", f"/reviews/{approval.approval_request_id}", "/reviews/req-1"):
        await opened(page, api, path)
        await expect(page.get_by_role("main")).to_contain_text("<script>window.hit=1</script>")
        await expect(page.get_by_role("main")).to_contain_text("\\u{202e}{{7*7}}")
        assert await page.locator("main img, main svg, main script").count() == 0
        assert "\u202e" not in await page.content()
    # Nor is anything cut off on a phone, and everything can be pressed.
    await page.set_viewport_size({"width": 360, "height": 740})
    await opened(page, api)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("Approve", "Reject", "Request changes"):
        box = await card(page, approval).get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert box["height"] >= 44


async def test_what_happens_elsewhere_shows_by_itself(page: Page, api: Api, world: World) -> None:
    await opened(page, api)
    await expect(page.get_by_test_id("empty")).to_be_visible()
    first = await world.waiting()
    await expect(card(page, first)).to_be_visible()
    await expect(page.get_by_role("status")).to_contain_text("New: refund")
    # What is being typed, and where, stays as others come and go.
    comment = card(page, first).get_by_label("Comment")
    await comment.fill("half a sen")
    second = await world.waiting()
    await expect(card(page, second)).to_be_visible()
    await world.decide(second, "rejected")
    await expect(decided(page, second)).to_contain_text("by local:operator on the command line")
    await expect(page.get_by_role("status")).to_contain_text("Rejected")
    await expect(comment).to_be_focused()
    await expect(comment).to_have_value("half a sen")
    await world.decide(first, "approved")
    await expect(decided(page, first)).to_contain_text("Approved")
    brief = await world.waiting(expires_after=90 * SECOND)
    await expect(card(page, brief).get_by_role("timer")).to_have_text(re.compile(r"in (8\d|90) s"))
    await world.clock.advance(90 * SECOND)
    await world.database.write(sweep)
    await expect(decided(page, brief)).to_contain_text("Expired")
    await expect(decided(page, brief)).to_contain_text("Nothing ran.")


async def test_a_decision_that_came_too_late_says_who_was_first(page: Page, api: Api, world: World) -> None:
    approval = await world.waiting()
    await page.route("**/feed", lambda route: route.abort())
    await page.goto(api.url + "/reviews")
    await expect(page.locator("#offline")).to_contain_text("The connection is lost")
    await world.decide(approval, "approved")
    await card(page, approval).get_by_role("button", name="Reject").click()
    await expect(page.get_by_role("status")).to_contain_text("Approved")
    await expect(decided(page, approval)).to_be_visible()
    assert (await world.approval(approval)).status == "approved"


async def test_a_slow_decision_says_that_it_is_not_confirmed_yet(page: Page, api: Api, world: World) -> None:
    approval = await world.waiting()
    await opened(page, api)
    held: list[Route] = []
    await page.route("**/approve/*", lambda route: held.append(route))
    await page.clock.install()
    await card(page, approval).get_by_role("button", name="Reject").click()
    await page.clock.run_for(2_500)
    await expect(card(page, approval).get_by_role("alert")).to_contain_text("Not confirmed yet")
    assert (await world.approval(approval)).pending
    await held[0].continue_()
    await expect(decided(page, approval)).to_contain_text("Rejected")


async def test_a_lost_server_is_said_and_found_again(page: Page, api: Api, world: World) -> None:
    approval = await world.waiting()
    await opened(page, api)
    await page.context.set_offline(True)
    await card(page, approval).get_by_role("button", name="Reject").click()
    await expect(card(page, approval).get_by_role("alert")).to_contain_text("Not confirmed")
    await expect(page.locator("#offline")).to_contain_text("what you see may be old")
    assert (await world.approval(approval)).pending
    await page.context.set_offline(False)
    await card(page, approval).get_by_role("button", name="Reject").click()
    await expect(decided(page, approval)).to_contain_text("Rejected")


@pytest.mark.parametrize("fault", ["refused", "hanging"])
async def test_a_reading_that_fails_is_tried_again_by_itself(page: Page, api: Api, world: World, fault: str) -> None:
    """One request of many fails (a busy database, a broken connection); nothing more happens on the feed."""
    await opened(page, api)
    await expect(page.get_by_test_id("empty")).to_be_visible()
    failed: list[str] = []

    async def fail_once(route: Route) -> None:
        if failed:
            await route.continue_()
            return
        failed.append(route.request.url)
        if fault == "refused":
            await route.fulfill(status=503, content_type="application/problem+json", body="{}")

    await page.route("**/reviews?part=list", fail_once)
    await page.clock.install()
    approval = await world.waiting()
    while not failed:
        await page.wait_for_timeout(20)
    await page.clock.run_for(30_000)
    await expect(card(page, approval)).to_be_visible()
    await expect(page.locator("#live-words")).to_have_text("live")
    await expect(page.locator("#offline")).to_be_hidden()


async def test_without_scripts_the_forms_do_it_all(browser: Browser, api: Api, world: World) -> None:
    approval = await world.waiting()
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(api.url)
    await card(page, approval).get_by_label("Comment").fill("Not today.")
    await card(page, approval).get_by_role("button", name="Reject").click()
    await expect(card(page, approval)).to_contain_text("Rejected by local:operator on the dashboard")
    await context.close()
    assert (await world.approval(approval)).feedback == "Not today."


async def test_signing_in_and_settling_a_doubt(page: Page, api: Api, world: World) -> None:
    doubt = await world.in_doubt()
    token = await world.token("read", "decide", name="dana")
    await page.goto(api.url + "/reviews")
    await page.get_by_label("Token").fill(token["Authorization"].removeprefix("Bearer "))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Signed in as api:dana")).to_be_visible()
    form = card(page, doubt)
    await expect(form).to_contain_text("nobody knows whether it took effect")
    await form.get_by_label("How you know").fill("The ledger has it.")
    await form.get_by_label("Its result as JSON").fill('{"id": 7}')
    await form.get_by_role("button", name="It happened").click()
    await expect(decided(page, doubt)).to_contain_text("Settled: it happened")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert (await world.approval(doubt)).decided_by == "api:dana"
