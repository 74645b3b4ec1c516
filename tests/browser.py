"""Chromium for the tests that drive a real browser."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Error, async_playwright

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_REMEDY = (
    "no Chromium: run `apt-get install -y chromium libatomic1 fonts-dejavu-core` as root on Debian, "
    "elsewhere `.venv/bin/python -m playwright install chromium`"
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The machine's own Chromium where there is one, else the browser that Playwright has installed.

    Fails the test, naming the command to run, where there is neither.
    """
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        except Error as problem:
            if "Executable doesn't exist" not in str(problem):
                raise
            pytest.fail(_REMEDY)
        try:
            yield browser
        finally:
            await browser.close()
