"""The reviewer's pages over plain HTTP: who may look and decide, what forged requests meet, and what is shown."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from agent_runtime.core.duration import HOUR, SECOND
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.operations.ask import Asked, ask
from agent_runtime.operations.tokens import revoke_token
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.web import feed as web_feed
from agent_runtime.web import waiting as web_waiting
from tests.web.conftest import Answer, Api, World

pytestmark = pytest.mark.databases("sqlite")

PAGE = {"Accept": "text/html"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Browser:
    """As much of a browser as matters here: it keeps the cookie, and says where a request comes from."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.cookie = ""
        self.token = ""
        self.headers: dict[str, str] = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}

    async def open(self, path: str = "/reviews") -> Answer:
        answer = await self.api.get(path, headers=PAGE | self._cookie())
        self._take(answer)
        return answer

    async def submit(self, path: str, *, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        body = urlencode({"csrf_token": self.token, **fields}).encode()
        sent = FORM | self.headers | self._cookie() | (headers or {})
        answer = await self.api.post(path, body, headers=sent)
        self._take(answer)
        return answer

    def _cookie(self) -> dict[str, str]:
        return {"Cookie": f"countersign_session={self.cookie}"} if self.cookie else {}

    def _take(self, answer: Answer) -> None:
        for header in answer.headers.getall("Set-Cookie", []):
            assert "HttpOnly" in header
            assert "SameSite=Strict" in header
            self.cookie = header.partition(";")[0].partition("=")[2].strip('"')
        if found := re.search(r'name="csrf_token" value="([^"]+)"', answer.text):
            self.token = found[1]


@pytest.fixture
def browser(api: Api) -> Browser:
    return Browser(api)


async def test_deciding_on_the_page_is_the_dashboard_s_door(browser: Browser, world: World) -> None:
    approval = await world.waiting()
    await browser.open()
    answer = await browser.submit(
        f"/approve/{approval.approval_request_id}", decision="approved", feedback="Fine.", digest=approval.digest
    )
    assert (answer.status, answer.json["status"]) == (200, "approved")
    ended = await world.approval(approval)
    assert ended.resolution == {"by": "local:operator", "via": "dashboard", "feedback": "Fine."}


async def test_without_a_script_the_form_decides_too(browser: Browser, world: World) -> None:
    approval = await world.waiting()
    await browser.open()
    path = f"/approve/{approval.approval_request_id}"
    answer = await browser.submit(path, headers=PAGE, decision="rejected", feedback="No.", digest=approval.digest)
    assert (answer.status, answer.headers["Location"]) == (303, f"/reviews/{approval.approval_request_id}")
    shown = await browser.open(answer.headers["Location"])
    assert "Rejected" in shown.text
    assert "on the dashboard" in shown.text
    listed = re.sub(r"<[^>]*>", "", (await browser.open()).text)
    assert re.search(r"No\.\s+Nothing ran\.", listed), "a reason and what came of it are apart"
    refused = await browser.submit(path, headers=PAGE, decision="approved", digest=approval.digest)
    assert (refused.status, "already rejected" in refused.text) == (409, True)
    assert refused.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    "change",
    [
        {"Cookie": ""},
        {"Cookie": "countersign_session=" + "A" * 43},
        {"Cookie": "other=1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_a_forged_decision_is_refused(browser: Browser, world: World, change: dict[str, str]) -> None:
    approval = await world.waiting()
    await browser.open()
    answer = await browser.submit(f"/approve/{approval.approval_request_id}", headers=change, decision="approved")
    assert answer.status in {401, 403}
    assert (await world.approval(approval)).pending


@pytest.mark.parametrize("header", ["Cookie", "Origin", "Sec-Fetch-Site"])
async def test_each_sign_of_a_browser_demands_the_token(api: Api, world: World, header: str) -> None:
    approval = await world.waiting()
    headers = {header: {"Cookie": "a=b", "Origin": api.url, "Sec-Fetch-Site": "same-origin"}[header]}
    path = f"/approve/{approval.approval_request_id}"
    for body in ({"decision": "approved"}, {"decision": "approved", "csrf_token": "x"}):
        answer = await api.post(path, body, headers=headers)
        assert (answer.status, answer.json["type"].endswith("forged-request")) == (403, True)
    asked = await api.post("/pending", {"request_id": "r", "action_description": "x"}, headers=headers)
    assert asked.status == 403
    bearer = await world.token("decide")
    assert (await api.post(path, {"decision": "approved"}, headers=headers | bearer)).status == 403
    assert (await world.approval(approval)).pending


async def test_a_token_of_another_browser_or_of_long_ago_is_refused(
    api: Api, browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = await world.waiting()
    path = f"/approve/{approval.approval_request_id}"
    other = Browser(api)
    await other.open()
    await browser.open()
    mine, browser.token = browser.token, other.token
    assert (await browser.submit(path, decision="approved")).status == 403
    head, changed, tail = mine[:-5], mine[-5], mine[-4:]  # not the last character, whose low bits say nothing
    browser.token = head + ("A" if changed != "A" else "B") + tail
    assert (await browser.submit(path, decision="approved")).status == 403
    browser.token = mine
    monkeypatch.setattr("agent_runtime.web.csrf.LIFETIME", -SECOND)
    assert (await browser.submit(path, decision="approved")).status == 403
    assert (await world.approval(approval)).pending


async def test_what_was_not_shown_is_not_approved(browser: Browser, world: World) -> None:
    approval = await world.waiting()
    await browser.open()
    answer = await browser.submit(
        f"/approve/{approval.approval_request_id}", decision="approved", digest="sha256:" + "0" * 64
    )
    assert (answer.status, answer.json["type"].endswith("stale-digest")) == (409, True)
    assert (await world.approval(approval)).pending


async def test_a_get_decides_nothing(browser: Browser, world: World) -> None:
    approval = await world.waiting()
    await browser.open()
    for path in ("/approve/{}", "/approve/{}?decision=approved", "/reviews/{}/settle", "/sign-out"):
        answer = await browser.open(path.format(approval.approval_request_id))
        assert answer.status in {404, 405}
    assert (await world.approval(approval)).pending


# --- with tokens --------------------------------------------------------------------------------------------


async def signed_in(api: Api, token: dict[str, str]) -> Browser:
    browser = Browser(api)
    page = await browser.open()
    assert (page.status, "Sign in" in page.text) == (401, True)
    answer = await browser.submit("/sign-in", token=token["Authorization"].removeprefix("Bearer "))
    assert (answer.status, answer.headers["Location"]) == (303, "/reviews")
    assert (await browser.open()).status == 200
    return browser


async def test_signing_in_with_a_token(api: Api, world: World) -> None:
    approval = await world.waiting()
    token = await world.token("read", "decide", name="dana")
    browser = await signed_in(api, token)
    assert token["Authorization"][7:] not in browser.cookie
    answer = await browser.submit(f"/approve/{approval.approval_request_id}", decision="approved")
    assert (answer.status, answer.json["decided_by"]) == (200, "api:dana")
    events = await world.database.all(EVENTS_OF_STREAM, b_stream="tokens", b_after=0, b_limit=10)
    assert [(event.type, event.principal) for event in events][-1] == ("session.begun", "api:dana")
    # A session serves pages; what it posts elsewhere needs the page's token too.
    forged = await api.post(
        f"/api/v1/approvals/{approval.approval_request_id}/decision",
        {"decision": "approved"},
        headers={"Cookie": f"countersign_session={browser.cookie}"},
    )
    assert forged.status == 403
    assert (await browser.submit("/sign-out")).status == 303
    assert (await browser.open()).status == 401


async def test_nobody_is_signed_in_by_another_site_or_with_a_wrong_token(api: Api, world: World) -> None:
    secret = (await world.token("read"))["Authorization"][7:]
    browser = Browser(api)
    assert (await browser.submit("/sign-in", token=secret)).status == 403  # no page was opened
    await browser.open("/sign-in")
    cross = await browser.submit("/sign-in", headers={"Sec-Fetch-Site": "cross-site"}, token=secret)
    assert cross.status == 403
    for wrong in ("cs_" + "A" * 43, "not-a-token", "cs_é"):
        refused = await browser.submit("/sign-in", headers=PAGE, token=wrong)
        assert (refused.status, wrong in refused.text) == (401, False)
    assert (await browser.open()).status == 401


async def test_a_session_ends_with_its_token_and_by_itself(api: Api, world: World) -> None:
    browser = await signed_in(api, await world.token("read", name="brief"))
    other = await signed_in(api, await world.token("read", name="other"))
    await world.database.write(revoke_token, "brief", by=LOCAL_OPERATOR, via=Via.cli)
    assert (await browser.open()).status == 401
    assert (await other.open()).status == 200
    await world.clock.advance(12 * HOUR)
    assert (await other.open()).status == 401


async def test_only_who_may_decide_gets_the_buttons(api: Api, world: World) -> None:
    requester = Actor("slack:T1:U1", identities=frozenset({"U1"}))
    mine = await world.waiting(by=requester, reviewers=("U1", "U2"))
    doors = await world.waiting(reviewers=("U2",), allowed_via=("slack",))
    path = f"/approve/{mine.approval_request_id}"
    reader = await signed_in(api, await world.token("read", name="reader"))
    page = (await reader.open()).text
    assert "lacks the scope decide" in page
    assert f'action="{path}"' not in page
    assert (await reader.submit(path, decision="approved")).status == 403
    asker = await signed_in(api, await world.token("read", "decide", name="u1", stands_for="slack:T1:U1"))
    assert "somebody else must decide it" in (await asker.open()).text
    assert (await asker.submit(path, decision="approved")).status == 403
    other = await signed_in(api, await world.token("read", "decide", name="u2", stands_for="slack:T1:U2"))
    page = (await other.open()).text
    assert f'action="{path}"' in page
    assert "may not be decided through dashboard" in page
    assert (await other.submit(f"/approve/{doors.approval_request_id}", decision="approved")).status == 403
    assert (await other.submit(path, decision="approved")).status == 200
    assert (await world.approval(doors)).pending


async def test_who_has_answered_sees_it_and_waits_for_the_others(api: Api, world: World) -> None:
    approval = await world.waiting(reviewers=("U1", "U2"), quorum=2)
    path = f"/approve/{approval.approval_request_id}"
    first = await signed_in(api, await world.token("read", "decide", name="u1", stands_for="slack:T1:U1"))
    assert f'action="{path}"' in (await first.open()).text
    assert (await first.submit(path, decision="approved")).status == 200
    page = (await first.open()).text
    assert "You have answered: approved. More people are needed." in page
    assert f'action="{path}"' not in page
    second = await signed_in(api, await world.token("read", "decide", name="u2", stands_for="slack:T1:U2"))
    assert f'action="{path}"' in (await second.open()).text


async def test_behind_a_proxy_the_public_address_counts(serve: Any, world: World) -> None:
    approval = await world.waiting()
    api = await serve(public_url="https://reviews.example")
    token = await world.token("read", "decide")
    browser = Browser(api)
    browser.headers = {
        "Origin": "https://reviews.example",
        "Sec-Fetch-Site": "same-origin",
        "X-Forwarded-For": "1.2.3.4",
    }
    page = await browser.open()
    assert "; Secure" in page.headers["Set-Cookie"]
    assert (await browser.submit("/sign-in", token=token["Authorization"][7:])).status == 303
    await browser.open()
    assert (await browser.submit(f"/approve/{approval.approval_request_id}", decision="approved")).status == 200


# --- what is shown ------------------------------------------------------------------------------------------


async def test_a_card_shows_all_that_matters(browser: Browser, world: World) -> None:
    approval = await world.waiting(
        arguments={"iban": "DE89", "order": "ORD-1", "api_key": "sk-123"},
        redact=("iban",),
        reviewers=("U0DANA", "@finance"),
        quorum=2,
        risk="high",
        rules=("checkpoint:refunds",),
        expires_after=90 * SECOND,
    )
    page = (await browser.open()).text
    for shown in (
        *("ORD-1", "U0DANA, @finance", "0 of 2", "High risk", "checkpoint refunds", "in 90 s", "<code>iban</code>"),
        *("refund_agent", "local:operator", "I will refund it.", "refund cust_001", approval.digest, "Approval needed"),
    ):
        assert shown in page, shown
    for hidden in ("DE89", "sk-123"):
        assert hidden not in page
    detail = (await browser.open(f"/reviews/{approval.approval_request_id}")).text
    assert "approval.requested" in detail
    assert "&#34;prompt&#34;: &#34;refund cust_001&#34;" in detail
    assert "sk-123" not in detail
    assert "DE89" not in detail


async def test_what_is_too_long_for_a_list_is_approved_on_its_own_page(browser: Browser, world: World) -> None:
    approval = await world.waiting(arguments={"rows": [f"row {number}" for number in range(200)]})
    page = (await browser.open()).text
    assert "Review all of it to approve" in page
    assert 'value="approved"' not in page
    detail = (await browser.open(f"/reviews/{approval.approval_request_id}")).text
    assert "row 199" in detail
    assert 'value="approved"' in detail


async def test_a_doubt_is_settled_with_its_result(browser: Browser, world: World) -> None:
    doubt = await world.in_doubt()
    page = (await browser.open()).text
    assert "In doubt" in page
    path = f"/reviews/{doubt.approval_request_id}/settle"
    assert f'action="{path}"' in page
    assert f'action="/approve/{doubt.approval_request_id}"' not in page
    assert (await browser.submit(f"/approve/{doubt.approval_request_id}", decision="approved")).status == 422
    for fields in ({"outcome": "maybe"}, {"outcome": "happened", "result": "{"}, {"outcome": "stop", "result": "1"}):
        assert (await browser.submit(path, **fields)).status == 422
    settled = await browser.submit(path, outcome="happened", result='{"id": 7}', evidence="It is in the ledger.")
    assert (settled.status, settled.json["resolution"]["outcome"]) == (200, "happened")
    ended = await world.approval(doubt)
    assert (ended.decided_by, ended.resolution["via"], ended.feedback) == (
        "local:operator",
        "dashboard",
        "It is in the ledger.",
    )


async def test_the_feed_tells_of_every_change(api: Api, world: World) -> None:
    async with api.session.get(api.url + "/feed") as feed:
        assert feed.status == 200

        async def told() -> Any:
            while not (line := (await feed.content.readline()).decode()).startswith("data: "):
                assert line, "the feed has ended"
            return json.loads(line.removeprefix("data: "))

        first = await told()
        approval = await world.waiting()
        second = await told()
        await world.decide(approval, "approved")
        third = await told()
    assert [first["waiting"], second["waiting"], third["waiting"]] == [0, 1, 0]
    assert len({first["mark"], second["mark"], third["mark"]}) == 3


async def test_files_of_the_pages_are_served_and_kept(api: Api, world: World) -> None:
    await world.token("read")
    for path, kind in (("/static/reviews.css", "text/css"), ("/static/reviews.js", "text/javascript")):
        served = await api.get(path)
        assert (served.status, served.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
        again = await api.get(path, headers={"If-None-Match": served.headers["ETag"]})
        assert (again.status, again.text) == (304, "")
    assert (await api.get("/static/../app.py")).status == 401


async def test_programs_that_wait_keep_no_page_from_hearing(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_waiting, "WAITING_AT_MOST", 0)
    async with api.session.get(f"{api.url}/feed") as feed:
        assert (await feed.content.readline()).startswith(b"event: changed")
    monkeypatch.setattr(web_waiting, "PAGES_OF_ONE", 0)
    refused = await api.get("/feed")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")


async def test_pages_share_a_look(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [0]
    mark = web_feed.mark

    async def counted(database: Any) -> Any:
        looks[0] += 1
        return await mark(database)

    monkeypatch.setattr(web_feed, "mark", counted)
    shared = api.app[web_feed.LOOKS]
    assert len(set(await asyncio.gather(*(shared.mark() for _ in range(50))))) == 1
    assert looks == [1]
    before, (after, _) = await shared.mark(), (await world.waiting(), await shared.mark())[1]
    assert before[0] != after


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/run/7", "<bdi>https://example.com/run/7</bdi>"),
        ("https://example.com/\u202egnp.exe", "https://example.com/\\u{202e}gnp.exe"),
    ],
)
async def test_a_link_reads_as_it_is(browser: Browser, world: World, url: str, shown: str) -> None:
    asked = Asked(title="May I?", url=url)
    asking = await world.database.write(ask, asked, Defaults(), by=LOCAL_OPERATOR, via=Via.sdk)
    page = await browser.open(f"/reviews/{asking.approval.approval_request_id}")
    assert shown in page.text
    assert "\u202e" not in page.text
    assert "What the agent knew" not in page.text, "nothing was said of it"


async def test_a_mistyped_path_is_a_page_for_people_and_a_problem_for_programs(api: Api, world: World) -> None:
    for path in ("/nowhere", "/api/v1/nowhere", "/reviews/a/b/c"):
        shown = await api.get(path, headers=PAGE)
        assert (shown.status, shown.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert "There is nothing at this address." in shown.text
        told = await api.get(path)
        assert (told.status, told.json["type"]) == (404, "urn:countersign:problem:not-found")
    await world.token("read")
    assert "<form" in (await api.get("/nowhere", headers=PAGE)).text  # who it is is asked first
    assert (await api.get("/nowhere")).json["status"] == 401
