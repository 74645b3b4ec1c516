"""The demo: the real server beside a local Slack workspace and a scripted model, each a process of its own."""
