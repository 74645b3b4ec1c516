"""The dashboard: a browser as far as it matters here, signed in with a token, that posts the reviewer page's form."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from agent_runtime.conformance.doors import Answer, Door, Shown, answered
from agent_runtime.conformance.people import PATIENCE

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_PAGE = {"Accept": "text/html"}


@asynccontextmanager
async def dashboard(url: str, token: str) -> AsyncIterator[Door]:
    """Signs in at `url` with a token that may read and decide, and opens the reviewer's page once."""
    own = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=PATIENCE) as browser:
        form = {"csrf_token": await _opened(browser, "/sign-in"), "token": token}
        async with browser.post("/sign-in", data=form, headers=own | _PAGE, allow_redirects=False) as answer:
            if answer.status != 303:
                raise RuntimeError(f"signing in was answered {answer.status}: {await answer.text()}")
        shown_to_us = await _opened(browser, "/reviews")

        async def decide(shown: Shown, verdict: str, words: str) -> Answer:
            form = {"csrf_token": shown_to_us, "decision": verdict, "feedback": words, "digest": shown.digest}
            async with browser.post(f"/approve/{shown.approval_request_id}", data=form, headers=own) as answer:
                return answered(answer.status, await answer.json(content_type=None))

        yield decide


async def _opened(browser: aiohttp.ClientSession, path: str) -> str:
    """Opens a page; the token that its forms carry."""
    async with browser.get(path, headers=_PAGE) as answer:
        found = _TOKEN.search(await answer.text())
    if found is None:
        raise RuntimeError(f"{path} was answered {answer.status} and has no form")
    return found[1]
