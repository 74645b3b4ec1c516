"""Slack's Web API: `/api/METHOD`. One file a family of methods; `dispatch` is what they have in common."""
