"""A server that has started tells the garbage collector so."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from agent_runtime import server
from agent_runtime.settings import Settings


async def test_what_was_loaded_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path / 'countersign.db'}", port=0)
    monkeypatch.setattr(server, "SETTLED", 0.0)
    before = gc.get_freeze_count()
    try:
        serving = asyncio.create_task(server.serve([], settings=settings, ready=lambda _: ready.set(), stop=stop))
        await asyncio.wait_for(ready.wait(), 30)
        assert gc.get_freeze_count() > before
        stop.set()
        await serving
    finally:
        gc.unfreeze()
