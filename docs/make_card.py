"""Draws docs/card.png, the card that waits when the demo's page opens: `.venv/bin/python docs/make_card.py`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PICTURE = Path(__file__).with_name("card.png")
HEIGHT, WITH_CHANNEL, THREAD_ALONE = 1100, 1360, 960
"""CSS pixels of the window; the picture has twice as many."""


def main() -> None:
    """Runs the demo on free ports, and draws its first card."""
    command = [sys.executable, "-m", "bot", "demo", "--port", "0", "--sandbox-port", "0"]
    demo = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert demo.stdin is not None
    assert demo.stdout is not None
    try:
        draw(next(found[1] for line in demo.stdout if (found := re.match(r"Slack sandbox: (\S+)", line))))
    finally:
        demo.stdin.close()  # the demo ends with its parent
        demo.wait()
        demo.stdout.close()
    sys.stdout.write(f"{PICTURE.relative_to(Path.cwd())}: {PICTURE.stat().st_size // 1024} KB\n")


def draw(url: str) -> None:
    """The card as somebody sees it whom it does not mention, in a window without the channel beside the thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WITH_CHANNEL, "height": HEIGHT},
            device_scale_factor=2,
            color_scheme="light",
            timezone_id="UTC",
        )
        page.goto(url)
        card = page.get_by_test_id("thread-pane").locator("[data-testid^=message-]", has_text="Approval needed")
        card.get_by_test_id("action-approval.approve").wait_for()
        page.set_viewport_size({"width": THREAD_ALONE, "height": HEIGHT})
        page.get_by_test_id("user-switch-U0BYSTANDER").click()
        page.locator("[data-testid=user-switch-U0BYSTANDER][aria-pressed=true]").wait_for()
        expect(card.locator(".mention--me")).to_have_count(0)
        card.evaluate("(card) => { card.style.padding = '20px 24px'; }")
        card.screenshot(path=PICTURE, animations="disabled")
        browser.close()


if __name__ == "__main__":
    main()
