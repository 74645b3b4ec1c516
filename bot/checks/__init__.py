"""What `countersign doctor` looks at: settings, database, model, doors. Slack's checks are in `bot.slack.checks`."""
