"""Nothing is skipped: every block of Python or TOML on every page is a file, and its page's tests run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import Page, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.path)
def test_every_block_is_run(page: Page) -> None:
    unnamed = [block.partition("\n")[0] for block in page.blocks if block not in page.files.values()]
    assert unnamed == [], "the first line of a block is `# NAME.py` or `# NAME.toml`"
    if page.files:
        tests = (Path(__file__).parent / f"{page.tests}.py").read_text()
        assert [name for name in page.files if f'"{name}"' not in tests] == [], (
            f"tests/docs/{page.tests}.py runs it not"
        )
