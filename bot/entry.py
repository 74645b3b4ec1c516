"""What the runtime finds by entry point: whether Slack is configured, asked before anything of Slack's is imported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.settings import slack_settings

if TYPE_CHECKING:
    from agent_runtime.store.database import Database
    from bot.surface import SlackSurface


class Slack:
    """The entry of the group `countersign.surfaces`."""

    @staticmethod
    def configured(*, env_file: str | None = None, **arguments: Any) -> Callable[[Database], SlackSurface] | None:
        """What creates the surface for the settings, or None where no Slack token is set. Raises InvalidSetting."""
        settings = slack_settings(env_file=env_file, **arguments)
        if settings.mode == "off":
            return None
        from bot.surface import SlackSurface

        return partial(SlackSurface, settings=settings)
