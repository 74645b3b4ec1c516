"""The sample agents' scripts, and which of them answers a request: agents are known by the tools they
offer."""

from __future__ import annotations

from bot.scripted_model.conversation import read_conversation, system_text
from bot.scripted_model.errors import ApiError
from bot.scripted_model.reply import Reply
from bot.scripted_model.request import ChatRequest
from bot.scripted_model.scripts import prod_change_demo, refund_agent
from bot.scripted_model.scripts.script import Script

SCRIPTS: tuple[Script, ...] = (refund_agent.SCRIPT, prod_change_demo.SCRIPT)


def scripted_reply(request: ChatRequest) -> Reply:
    """The reply of the script whose tools the request offers. Raises ApiError (422) where there is none."""
    offered = set(request.tool_names)
    for script in SCRIPTS:
        if script.tools <= offered:
            return script.reply(read_conversation(request.messages))
    known = "; ".join(f"{script.name}: {', '.join(sorted(script.tools))}" for script in SCRIPTS)
    raise ApiError(
        422,
        "no script matches this request. A script is found by the tools that are offered; here these are: "
        f"{', '.join(request.tool_names) or 'none'}. The system message begins "
        f"{system_text(request.messages)[:80]!r}. "
        f"Known scripts: {known}. For other agents use a real model.",
        param="tools",
        code="no_script",
    )
