"""What talks to Slack's Web API: the only code that does."""
