"""A message as it is sent: blocks, and the text that notifications and screen readers read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bot.ui.limits import BLOCKS_IN_MESSAGE, MESSAGE_BLOCKS_SIZE

Block: TypeAlias = dict[str, Any]
Blocks: TypeAlias = list[Block]


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted or shown in place of an earlier one. `text` is escaped mrkdwn."""

    text: str
    blocks: Blocks = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether Slack takes that many blocks of that size."""
        return len(self.blocks) <= BLOCKS_IN_MESSAGE and size(self.blocks) <= MESSAGE_BLOCKS_SIZE


def size(value: Any) -> int:
    """The characters of `value` as JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
