"""The operator's file says which agent a channel means."""

from __future__ import annotations

from pathlib import Path

from agent_runtime.core.principal import LOCAL_OPERATOR
from agent_runtime.operations.deploy import deploy
from tests.bot.conftest import OpenDesk
from tests.bot.desk import connected
from tests.bot.workspace import AGENTS, REQUESTER


async def test_a_channel_s_agent_comes_before_the_default(desk_for: OpenDesk, tmp_path: Path) -> None:
    file = tmp_path / "channels.toml"
    file.write_text(f'[[channel]]\nid = "{AGENTS}"\nagent = "prod_change_demo"\n')
    async with desk_for(checkpoints=str(file), default_agent="refund_agent") as desk:
        await connected(desk)
        await desk.database.write(deploy, "prod_change_demo", "v1", {}, by=LOCAL_OPERATOR)
        execution = await desk.runs(await desk.mentions(REQUESTER, "roll out 1.2"))
        assert execution.agent == "prod_change_demo"
