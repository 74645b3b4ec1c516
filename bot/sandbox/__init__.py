"""A local Slack workspace: Slack's Web API, Socket Mode and HTTP delivery on one loopback port, with a page.

It stands in for Slack in the demo and in the tests. Apps built with slack-bolt run against it unchanged when
their Web API `base_url` points here; nothing in it knows what app that is.

Start it as a process with `python -m bot.sandbox`, or inside a test with `bot.sandbox.app.running_sandbox`.
`bot.sandbox.control` lists the endpoints that the page and tests use, `bot.sandbox.faults` the faults that they
can switch on.
"""
