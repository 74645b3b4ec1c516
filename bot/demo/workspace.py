"""What the demo's local workspace holds, and the settings that point the server at it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.sandbox.config import SandboxConfig

_REAL = ("SLACK_", "OPENAI_", "ANTHROPIC_", "COUNTERSIGN_")
_KEPT = ("COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", "COUNTERSIGN_WEBHOOK_SIGNATURES", "COUNTERSIGN_DEMO_LEDGER")
"""Settings that reach no real account; all others of these families are left out, so that the demo reaches nothing."""

_HERE = "127.0.0.1,localhost,::1"

REFUND = "Customer Alex (cust_001) wants a refund on order ORD-8821"
ROLLOUT = "Review change CHG-901 and execute if safe."
"""Prompts of the sample agents that the scripted model knows."""

FIRST_SCENARIO = "refund"
"""The one that is played before the page is opened."""


def workspace() -> SandboxConfig:
    """The local workspace with the scenarios of the two sample agents."""
    from bot.sandbox.config import SandboxConfig, ScenarioConfig

    base = SandboxConfig()
    requester = next(user.id for user in base.users if user.role == "requester")
    channel = base.channels[0].id
    bot = f"<@{base.bot_user_id}>"
    return SandboxConfig(
        bot_token=f"xoxb-demo-{secrets.token_hex(12)}",
        app_token=f"xapp-demo-{secrets.token_hex(12)}",
        signing_secret=secrets.token_hex(16),
        server_controls=True,
        agents=("refund_agent", "prod_change_demo"),
        slash_commands=("/approvals",),
        scenarios=(
            ScenarioConfig(
                id=FIRST_SCENARIO,
                label="Ask for a refund",
                user=requester,
                channel=channel,
                text=f"{bot} refund_agent {REFUND}",
            ),
            ScenarioConfig(
                id="rollout",
                label="Ask for a rollout",
                user=requester,
                channel=channel,
                text=f"{bot} prod_change_demo {ROLLOUT}",
            ),
            ScenarioConfig(
                id="expire",
                label="Let one expire (a minute)",
                user=requester,
                channel=channel,
                text=f"{bot} prod_change_demo {ROLLOUT} Nobody will answer this one.",
            ),
        ),
    )


def local_environment() -> dict[str, str]:
    """This process's environment without any real setting, and with no proxy before what is on this machine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_REAL) or name in _KEPT}
    return environment | {"NO_PROXY": _HERE, "no_proxy": _HERE}


def server_environment(config: SandboxConfig, folder: Path, sandbox_url: str, model_url: str) -> dict[str, str]:
    """The server's whole environment: the local workspace, the scripted model, a database in `folder`."""
    reviewers = [user.id for user in config.users if user.role == "reviewer"]
    escalations = config.channels[2].id
    return local_environment() | {
        "COUNTERSIGN_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'countersign.db'}",
        "COUNTERSIGN_SLACK_API_URL": f"{sandbox_url}/api/",
        "SLACK_BOT_TOKEN": config.bot_token,
        "SLACK_APP_TOKEN": config.app_token,
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_API_KEY": "scripted",
        "COUNTERSIGN_DEFAULT_AGENT": "refund_agent",
        "COUNTERSIGN_REVIEWERS": ",".join(reviewers),
        "COUNTERSIGN_ESCALATION_CHANNEL": escalations,
        "COUNTERSIGN_ESCALATION_REVIEWERS": ",".join(reviewers[-1:]),
        "COUNTERSIGN_DEMO_LEDGER": str(
            Path(os.environ.get("COUNTERSIGN_DEMO_LEDGER") or folder / "ledger.jsonl").absolute()
        ),
    }
