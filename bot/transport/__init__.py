"""How Slack reaches the bot: Socket Mode or HTTP, each thin, into the same listeners."""
