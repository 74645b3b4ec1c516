"""The tests in docs/testing.md, run by pytest as in their reader's project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.pages import Page

FILES = ("refunds.py", "test_refunds.py", "test_trips.py", "test_script.py")


def test_they_pass(page: Page, tmp_path: Path) -> None:
    page.write(tmp_path, *FILES)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--strict-markers"]
    command += ["-p", "no:asyncio", str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{sum(page.files[name].count('def test_') for name in FILES)} passed" in ended.stdout
