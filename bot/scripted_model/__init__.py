"""A scripted model: an OpenAI-compatible endpoint for the demo and for tests, reached by the real client
over HTTP.

It keeps no state: each reply is a pure function of the request's messages. `python -m bot.scripted_model`
serves the sample agents' scripts; tests bring their own replies (`serve_scripted_model`).
"""

from bot.scripted_model.in_process import ScriptedModel, serve_scripted_model
from bot.scripted_model.reply import Call, Calls, Data, Failure, Later, Refusal, Reply, Text, calls

__all__ = [
    "Call",
    "Calls",
    "Data",
    "Failure",
    "Later",
    "Refusal",
    "Reply",
    "ScriptedModel",
    "Text",
    "calls",
    "serve_scripted_model",
]
