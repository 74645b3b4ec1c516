"""The workspace's web page in a real browser: what people see, and that nothing a message says can take over."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser import chromium
from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    APPROVALS,
    BOT,
    REQUESTER,
    REVIEWER,
    Json,
    SocketApp,
    Workspace,
    actions,
    button,
    connected,
    modal,
    plain,
    text_input,
)

pytestmark = pytest.mark.browser

HOSTILE = (
    "<img src=x onerror=\"window.hit='img'\"> <script>window.hit='script'</script> "
    "<javascript:alert(1)|press me> <https://example.com/\" onmouseover=\"window.hit='attr'|*link*> "
    "<@U0REQUESTER|<b>> &lt;b&gt; `<svg onload=window.hit=1>` *_~`&amp;lt;`~_* :<b>:"
)
CONFIRM = {
    "title": plain("Approve process_refund?"),
    "text": plain("The call runs once."),
    "confirm": plain("Approve"),
    "deny": plain("Not now"),
}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """An empty page; an error in its scripts, or a breach of its content security policy, fails the test."""
    problems: list[str] = []
    async with chromium() as browser:
        opened = await browser.new_page(viewport={"width": 1360, "height": 860}, color_scheme="light")
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
        yield opened
        await opened.close()
    assert problems == []


@pytest.fixture
async def app(workspace: Workspace) -> AsyncIterator[SocketApp]:
    async with connected(workspace) as connected_app:
        yield connected_app


def card(*blocks: Json) -> list[Json]:
    return [
        {"type": "header", "text": plain("Approval needed: process_refund")},
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": f"*Requester*\n<@{REQUESTER}>"},
                {"type": "mrkdwn", "text": "*Expires*\n<!date^86400^{date_num}|later>"},
            ],
        },
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_preformatted",
                    "elements": [{"type": "text", "text": 'order_id  "ORD-8821"\namount    29.99'}],
                }
            ],
        },
        *blocks,
    ]


async def go(page: Page, workspace: Workspace, user: str = REQUESTER, channel: str = AGENTS, thread: str = "") -> None:
    await page.goto(f"{workspace.sandbox.url}/#user={user}&channel={channel}&thread={thread}")
    await expect(page.get_by_test_id(f"user-switch-{user}")).to_have_attribute("aria-pressed", "true")


async def posted(workspace: Workspace, *blocks: Json, text: str = "Approval needed", **fields: Any) -> str:
    answer = await workspace.client.chat_postMessage(channel=AGENTS, text=text, blocks=list(blocks) or None, **fields)
    return str(answer["ts"])


def message(page: Page, ts: str) -> Locator:
    return page.get_by_test_id(f"message-{ts}")


async def test_a_card_shows_as_slack_shows_it(page: Page, workspace: Workspace) -> None:
    ts = await posted(workspace, *card(actions(button("approve", style="primary"))))
    await go(page, workspace)
    shown = message(page, ts)
    await expect(shown.get_by_role("heading", name="Approval needed: process_refund")).to_be_visible()
    await expect(shown.locator(".mention--me")).to_have_text("@Alex")
    await expect(shown.locator("strong", has_text="Requester")).to_be_visible()
    await expect(shown.locator("time.date")).to_have_text(re.compile(r"^1970-01-0[12]$"))
    await expect(shown.locator("pre")).to_have_text('order_id  "ORD-8821"\namount    29.99')
    await expect(shown.get_by_role("button", name="Press")).to_have_class(re.compile("button--primary"))


async def test_hostile_text_stays_text(page: Page, workspace: Workspace) -> None:
    everywhere = {"type": "mrkdwn", "text": HOSTILE}
    rich = {"type": "rich_text_section", "elements": [{"type": "text", "text": HOSTILE}]}
    evil_link = {"type": "link", "url": "javascript:window.hit='link'", "text": "rich link"}
    ts = await posted(
        workspace,
        {"type": "header", "text": plain(HOSTILE[:150])},
        {"type": "section", "text": everywhere, "fields": [everywhere, plain(HOSTILE)]},
        {"type": "context", "elements": [everywhere, plain(HOSTILE)]},
        {"type": "rich_text", "elements": [rich, {"type": "rich_text_section", "elements": [evil_link]}]},
        {"type": "image", "image_url": "https://example.com/x.png", "alt_text": HOSTILE},
        actions(button("press", text=plain("<b>press</b>"), confirm=CONFIRM | {"text": plain(HOSTILE[:300])})),
    )
    typed = (await workspace.say(HOSTILE + " > quoted <b>"))["ts"]
    bare = await posted(workspace, text=HOSTILE)
    await go(page, workspace)
    for shown in (message(page, ts), message(page, typed), message(page, bare)):
        await expect(shown).to_contain_text("<script>window.hit='script'</script>")
        assert await shown.locator("script, img, iframe, b, [onerror], [onmouseover], [style]").count() == 0
    schemes = await page.evaluate("[...document.querySelectorAll('#messages a')].map((a) => new URL(a.href).protocol)")
    assert set(schemes) <= {"http:", "https:"}
    await message(page, ts).get_by_test_id("action-press").click()
    await expect(page.get_by_test_id("confirm")).to_contain_text("onerror")
    assert await page.evaluate("window.hit") is None


async def test_hostile_markup_takes_linear_time(page: Page, workspace: Workspace) -> None:
    await go(page, workspace)
    draw = """async (text) => {
        const { mrkdwn } = await import("/mrkdwn.js");
        const started = performance.now();
        mrkdwn(text, null);
        return performance.now() - started;
    }"""
    for unit in ("*a _b ~c <d ", "*_~", "<" * 8, ":a", "`", "&gt; \n", "https://"):
        assert await page.evaluate(draw, unit * 20_000) < 5_000, unit


async def test_mrkdwn_is_drawn(page: Page, workspace: Workspace) -> None:
    text = (
        "5 * 6 *bold* _italic_ ~struck~ `code` snake_case_name 2*3*4 2 * 3\n&gt; quoted\n```pre *not bold*```\n"
        "<https://example.com/a?b=1&amp;c=2|label> <#C0APPROVALS> <!subteam^S0REVIEWERS> <!here> :rocket: :nope:"
    )
    ts = await posted(workspace, text=text)
    await go(page, workspace)
    shown = message(page, ts)
    await expect(shown.locator("strong").last).to_have_text("bold")
    await expect(shown.locator("em")).to_have_text("italic")
    await expect(shown.locator("s")).to_have_text("struck")
    await expect(shown.locator("code")).to_have_text("code")
    await expect(shown).to_contain_text("snake_case_name 2*3*4 2 * 3")
    await expect(shown.locator("blockquote")).to_have_text("quoted")
    await expect(shown.locator("pre")).to_have_text("pre *not bold*")
    await expect(shown.get_by_role("link", name="label")).to_have_attribute("href", "https://example.com/a?b=1&c=2")
    await expect(shown.locator(".mention")).to_have_text(["#approvals", "@payments-reviewers", "@here"])
    await expect(shown.get_by_role("img", name="rocket")).to_be_visible()
    await expect(shown).to_contain_text(":nope:")


async def test_long_text_is_folded_unless_it_says_otherwise(page: Page, workspace: Workspace) -> None:
    text = {"type": "mrkdwn", "text": "word " * 200 + "the end"}
    folded = await posted(workspace, {"type": "section", "text": text})
    whole = await posted(workspace, {"type": "section", "text": text, "expand": True})
    await go(page, workspace)
    await expect(message(page, whole).get_by_role("button", name="Show more")).to_have_count(0)
    height = "(node) => node.querySelector('.text').clientHeight"
    before = await message(page, folded).evaluate(height)
    await message(page, folded).get_by_role("button", name="Show more").click()
    await expect(message(page, folded).get_by_role("button", name="Show less")).to_be_visible()
    assert await message(page, folded).evaluate(height) > before


async def test_switching_the_user_switches_what_is_seen(page: Page, workspace: Workspace) -> None:
    await workspace.client.chat_postEphemeral(channel=AGENTS, user=REQUESTER, text="for the requester alone")
    await go(page, workspace)
    secret = page.get_by_text("for the requester alone")
    await expect(secret).to_be_visible()
    await expect(page.get_by_text("Only visible to you")).to_be_visible()
    await page.get_by_test_id(f"user-switch-{REVIEWER}").click()
    await expect(page.get_by_test_id("hint")).to_contain_text("You are First Reviewer")
    await expect(secret).to_have_count(0)
    assert f"user={REVIEWER}" in page.url


async def test_a_reading_begun_before_the_switch_does_not_undo_it(page: Page, workspace: Workspace) -> None:
    await go(page, workspace)
    begun, released = asyncio.Event(), asyncio.Event()

    async def held(route: Route) -> None:
        begun.set()
        await released.wait()
        await route.continue_()

    await page.route("**/sandbox/api/state", held)
    await workspace.client.chat_postMessage(channel=AGENTS, text="makes the page read again")
    await begun.wait()
    await page.get_by_test_id(f"user-switch-{REVIEWER}").click()
    released.set()
    await expect(page.get_by_test_id("hint")).to_contain_text("You are First Reviewer")
    assert f"user={REVIEWER}" in page.url


async def test_a_mention_is_completed_sent_and_answered_in_its_thread(
    page: Page, start_workspace: StartWorkspace
) -> None:
    workspace = await start_workspace(rate_limits=False, agents=["refund_agent"])
    async with connected(workspace) as app:
        await go(page, workspace)
        composer = page.get_by_test_id("composer")
        await composer.press_sequentially("@cou")
        await expect(page.get_by_test_id("complete-Countersign")).to_be_visible()
        await composer.press("Enter")
        await expect(composer).to_have_value("@Countersign ")
        await composer.press_sequentially("ref")
        await composer.press("Tab")
        await composer.press_sequentially("ORD-8821 <now>")
        await composer.press("Enter")
        await expect(composer).to_have_value("")
        event = (await app.next("app_mention"))["payload"]["event"]
    assert (event["user"], event["text"]) == (REQUESTER, f"<@{BOT}> refund_agent ORD-8821 &lt;now&gt;")
    thread = page.get_by_test_id("thread-pane")
    await expect(thread).to_contain_text("refund_agent ORD-8821 <now>")
    reply = await posted(workspace, text="on it", thread_ts=event["ts"])
    await expect(thread.get_by_test_id(f"message-{reply}")).to_contain_text("on it")
    await expect(page.get_by_test_id(f"thread-{event['ts']}")).to_contain_text("1 reply")
    await page.keyboard.press("Escape")
    await expect(thread).to_be_hidden()


async def test_a_click_is_confirmed_first_and_the_card_is_redrawn(
    page: Page, workspace: Workspace, app: SocketApp
) -> None:
    ts = await posted(workspace, *card(actions(button("approve", confirm=CONFIRM))))
    await go(page, workspace, REVIEWER)
    approve = message(page, ts).get_by_test_id("action-approve")
    await approve.click()
    await page.get_by_test_id("confirm-cancel").click()
    await approve.click()
    await expect(page.get_by_test_id("confirm")).to_contain_text("The call runs once.")
    await page.get_by_test_id("confirm-ok").click()
    click = (await app.next("block_actions"))["payload"]
    assert (click["user"]["id"], click["actions"][0]["action_id"]) == (REVIEWER, "approve")
    assert app.envelopes.empty(), "the cancelled confirmation was sent"
    done = {"type": "section", "text": {"type": "mrkdwn", "text": f"*Approved* by <@{REVIEWER}>"}}
    await workspace.client.chat_update(channel=AGENTS, ts=ts, text="Approved", blocks=card(done))
    await expect(message(page, ts)).to_contain_text("Approved by @First Reviewer")
    await expect(message(page, ts).get_by_role("button", name="Press")).to_have_count(0)
    await expect(message(page, ts)).to_contain_text("(edited)")


async def test_an_app_that_does_not_acknowledge_is_reported(page: Page, workspace: Workspace) -> None:
    ts = await posted(workspace, actions(button("approve")))
    await go(page, workspace, REVIEWER)
    await expect(page.get_by_test_id("connection")).to_have_text("Bot offline")
    await message(page, ts).get_by_test_id("action-approve").click()
    await expect(page.get_by_test_id("toast")).to_contain_text("The app is offline")
    await expect(message(page, ts).get_by_test_id("failed")).to_be_visible()


async def test_an_overflow_menu_sends_the_chosen_option(page: Page, workspace: Workspace, app: SocketApp) -> None:
    options = [{"text": plain(label), "value": label.lower()} for label in ("Details", "Snooze")]
    ts = await posted(workspace, actions({"type": "overflow", "action_id": "more", "options": options}))
    await go(page, workspace, REVIEWER)
    await message(page, ts).get_by_test_id("action-more").click()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    action = (await app.next("block_actions"))["payload"]["actions"][0]
    assert action["selected_option"]["value"] == "snooze"


async def open_modal(page: Page, workspace: Workspace, app: SocketApp, view: Json) -> Locator:
    """As the reviewer, presses a button whose app answers with this modal."""
    ts = await posted(workspace, actions(button("reject")))
    await go(page, workspace, REVIEWER)
    await message(page, ts).get_by_test_id("action-reject").click()
    trigger_id = (await app.next("block_actions"))["payload"]["trigger_id"]
    await workspace.client.views_open(trigger_id=trigger_id, view=view)
    shown = page.get_by_test_id("modal")
    await expect(shown).to_be_visible()
    return shown


async def test_a_modal_is_filled_in_corrected_and_submitted(page: Page, workspace: Workspace, app: SocketApp) -> None:
    shown = await open_modal(page, workspace, app, modal(text_input("reason", multiline=True, min_length=5)))
    reason, submit = shown.get_by_test_id("input-text"), shown.get_by_test_id("modal-submit")
    await expect(reason).to_be_focused()
    await submit.click()
    await expect(shown.get_by_test_id("error-reason")).to_have_text("Please complete this required field.")
    await reason.fill("no")
    await submit.click()
    await expect(shown.get_by_test_id("error-reason")).to_have_text("Write at least 5 characters.")
    app.answer = {"response_action": "errors", "errors": {"reason": "Say what should change."}}
    await reason.fill("It is wrong")
    await submit.click()
    await expect(shown.get_by_test_id("error-reason")).to_have_text("Say what should change.")
    await app.next("view_submission")
    app.answer = None
    await reason.fill("Refund 19.99 instead")
    await submit.click()
    values = (await app.next("view_submission"))["payload"]["view"]["state"]["values"]
    assert values == {"reason": {"text": {"type": "plain_text_input", "value": "Refund 19.99 instead"}}}
    await expect(shown).to_be_hidden()


async def test_every_input_reports_what_was_chosen(page: Page, workspace: Workspace, app: SocketApp) -> None:
    def field(kind: str, **fields: Any) -> Json:
        element = {"type": kind, "action_id": kind, **fields}
        return {"type": "input", "block_id": kind, "label": plain(kind), "element": element, "optional": True}

    options: list[Json] = [{"text": plain(label), "value": label} for label in ("one", "two", "three")]
    view = modal(
        field("static_select", options=options),
        field("checkboxes", options=options),
        field("radio_buttons", options=options),
        field("datepicker"),
        field("users_select"),
        field("number_input", is_decimal_allowed=False),
        actions(button("look")),
    )
    shown = await open_modal(page, workspace, app, view)
    await shown.get_by_test_id("input-static_select").select_option("two")
    await shown.get_by_test_id("input-checkboxes").get_by_text("one").click()
    await shown.get_by_test_id("input-checkboxes").get_by_text("three").click()
    await shown.get_by_test_id("input-radio_buttons").get_by_text("two").click()
    await shown.get_by_test_id("input-datepicker").fill("2026-12-01")
    await shown.get_by_test_id("input-users_select").select_option("Alex")
    await shown.get_by_test_id("input-number_input").fill("3")
    one, two, three = options
    expected: dict[str, Json] = {
        "static_select": {"selected_option": two},
        "checkboxes": {"selected_options": [one, three]},
        "radio_buttons": {"selected_option": two},
        "datepicker": {"selected_date": "2026-12-01"},
        "users_select": {"selected_user": REQUESTER},
        "number_input": {"value": "3"},
    }
    whole = {kind: {kind: {"type": kind, **held}} for kind, held in expected.items()}
    await shown.get_by_test_id("action-look").click()
    assert (await app.next("block_actions"))["payload"]["view"]["state"]["values"] == whole
    await shown.get_by_test_id("modal-submit").click()
    assert (await app.next("view_submission"))["payload"]["view"]["state"]["values"] == whole


async def test_a_long_modal_opens_at_its_beginning(page: Page, workspace: Workspace, app: SocketApp) -> None:
    lines = [{"type": "section", "text": plain(f"line {number}")} for number in range(60)]
    shown = await open_modal(page, workspace, app, modal(*lines, text_input("why")))
    await expect(shown.get_by_text("line 0", exact=True)).to_be_in_viewport()
    await expect(shown.get_by_test_id("input-text")).not_to_be_in_viewport()
    await expect(shown.get_by_test_id("input-text")).to_be_focused()


async def test_escape_closes_the_modal_on_top(page: Page, workspace: Workspace, app: SocketApp) -> None:
    shown = await open_modal(page, workspace, app, modal(text_input("why"), actions(button("deeper"))))
    await shown.get_by_test_id("input-text").fill("kept")
    await shown.get_by_test_id("action-deeper").click()
    trigger_id = (await app.next("block_actions"))["payload"]["trigger_id"]
    second = modal(text_input("more"), title=plain("Second"), notify_on_close=True)
    await workspace.client.views_push(trigger_id=trigger_id, view=second)
    await expect(shown.get_by_role("heading", name="Second")).to_be_visible()
    answer = asyncio.Event()

    async def late(route: Route) -> None:
        response = await route.fetch()
        await answer.wait()
        await route.fulfill(response=response)

    await page.route("**/close", late, times=1)
    await page.keyboard.press("Escape")
    assert (await app.next("view_closed"))["payload"]["is_cleared"] is False
    await expect(shown.get_by_test_id("input-text")).to_have_value("kept")
    await shown.get_by_test_id("modal-close").click()  # while the page still waits for what became of the other one
    await expect(shown).to_be_hidden()
    async with page.expect_response("**/close"):
        answer.set()


async def test_the_home_tab_shows_what_the_app_publishes(page: Page, workspace: Workspace, app: SocketApp) -> None:
    await go(page, workspace, REVIEWER)
    await page.get_by_test_id("channel-home").click()
    await app.next("app_home_opened")
    home = {"type": "home", "blocks": [{"type": "header", "text": plain("Waiting on you")}, actions(button("review"))]}
    await workspace.client.views_publish(user_id=REVIEWER, view=home)
    shown = page.get_by_test_id("home")
    await expect(shown.get_by_role("heading", name="Waiting on you")).to_be_visible()
    await shown.get_by_test_id("action-review").click()
    assert (await app.next("block_actions"))["payload"]["container"]["type"] == "view"


async def test_slash_commands_are_offered_and_answered(page: Page, start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(rate_limits=False, slash_commands=["/approvals"])
    async with connected(workspace) as app:
        app.answer = {"text": "Nothing waits for you."}
        await go(page, workspace, REVIEWER)
        composer = page.get_by_test_id("composer")
        await composer.press_sequentially("/app")
        await composer.press("Tab")
        await composer.press_sequentially("mine")
        await composer.press("Enter")
        command = (await app.next("/approvals"))["payload"]
        assert (command["text"], command["user_id"]) == ("mine", REVIEWER)
        await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
        await composer.fill("/unknown")
        await composer.press("Enter")
        await expect(page.get_by_test_id("toast")).to_contain_text("'/unknown' is not a command")
        await expect(composer).to_have_value("/unknown")


async def test_scenarios_and_the_servers_switch(page: Page, start_workspace: StartWorkspace) -> None:
    scenario = {
        "id": "refund",
        "label": "Ask for a refund",
        "user": REQUESTER,
        "channel": AGENTS,
        "text": "@Countersign hi",
    }
    workspace = await start_workspace(rate_limits=False, server_controls=True, scenarios=[scenario])
    await go(page, workspace, REVIEWER, APPROVALS)
    async with connected(workspace) as app:
        await expect(page.get_by_test_id("connection")).to_have_text("Bot connected ×1")
        await page.get_by_test_id("scenario-refund").click()
        mention = (await app.next("app_mention"))["payload"]["event"]
        assert mention["user"] == REQUESTER
        await expect(page.get_by_test_id("thread-pane")).to_contain_text("hi")
        await page.get_by_test_id("server-kill").click()
        await expect(page.get_by_test_id("server-kill")).to_be_disabled()
    await expect(page.get_by_test_id("connection")).to_have_text("Bot offline")
    await expect(page.get_by_test_id("offline")).to_be_visible()
    await page.get_by_test_id("server-start").click()
    await expect(page.get_by_test_id("server-kill")).to_be_enabled()


async def test_a_press_counts_though_the_sidebar_changes_meanwhile(page: Page, workspace: Workspace) -> None:
    await go(page, workspace)
    switch = page.get_by_test_id(f"user-switch-{REVIEWER}")
    await workspace.post(f"channels/{APPROVALS}/members", user=REQUESTER, present=True)
    await switch.hover()
    await page.mouse.down()
    await workspace.client.chat_postMessage(channel=APPROVALS, text="something new")
    await expect(page.get_by_test_id(f"channel-{APPROVALS}").get_by_role("img", name="unread")).to_be_visible()
    await page.mouse.up()
    await expect(switch).to_have_attribute("aria-pressed", "true")


async def test_a_channel_with_something_new_is_marked(page: Page, workspace: Workspace) -> None:
    await go(page, workspace, REVIEWER)
    entry = page.get_by_test_id(f"channel-{APPROVALS}")
    await expect(entry.get_by_role("img", name="unread")).to_have_count(0)
    await workspace.client.chat_postMessage(channel=APPROVALS, text="something waits")
    await expect(entry.get_by_role("img", name="unread")).to_be_visible()
    await entry.click()
    await expect(page.get_by_test_id("messages")).to_contain_text("something waits")
    await expect(entry.get_by_role("img", name="unread")).to_have_count(0)


async def test_a_link_opens_a_thread(page: Page, workspace: Workspace) -> None:
    parent = (await workspace.say("the parent"))["ts"]
    await workspace.say("the reply", user=REVIEWER, thread_ts=parent)
    await go(page, workspace, REVIEWER, thread=parent)
    thread = page.get_by_test_id("thread-pane")
    await expect(thread).to_contain_text("the reply")
    await expect(page.get_by_test_id("messages")).not_to_contain_text("the reply")
    await thread.get_by_test_id("thread-composer").fill("from the thread")
    await thread.get_by_test_id("thread-composer").press("Enter")
    await expect(thread).to_contain_text("from the thread")
    assert (await workspace.messages())[-1]["thread_ts"] == parent


async def test_on_a_first_visit_the_first_thread_opens_by_itself(page: Page, workspace: Workspace) -> None:
    parent = (await workspace.say("the parent"))["ts"]
    await page.goto(workspace.sandbox.url)
    await expect(page.get_by_test_id("messages")).to_contain_text("the parent")
    thread = page.get_by_test_id("thread-pane")
    await expect(thread).to_be_hidden()
    await posted(workspace, text="the first reply", thread_ts=parent)
    await expect(thread).to_contain_text("the first reply")
    await page.get_by_test_id("thread-close").click()
    await expect(thread).to_be_hidden()
    await posted(workspace, text="another reply", thread_ts=parent)
    await expect(page.get_by_test_id(f"thread-{parent}")).to_contain_text("2 replies")
    await expect(thread).to_be_hidden()


async def test_without_the_stream_the_page_asks_each_second(page: Page, workspace: Workspace) -> None:
    await page.route("**/sandbox/api/stream?*", lambda route: route.abort())
    await go(page, workspace)
    ts = await posted(workspace, text="news")
    await expect(message(page, ts)).to_contain_text("news")
