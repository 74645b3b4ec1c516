"""Tests for agents: scripted runs (`mock_run`, `MockEvent`), assertions on results (`expect`), and a `Kit` in which the
real runtime works on a temporary database, with a scripted model and a clock that stands still until it is moved.

With pytest the fixture `countersign` gives each test a `Kit` of its own.
"""

from agent_runtime.testing.clock import ManualClock
from agent_runtime.testing.expectations import Expectation, expect
from agent_runtime.testing.kit import Kit
from agent_runtime.testing.mock import MockEvent, mock_run
from agent_runtime.testing.model import Call, ScriptedModel, call

__all__ = ["Call", "Expectation", "Kit", "ManualClock", "MockEvent", "ScriptedModel", "call", "expect", "mock_run"]
