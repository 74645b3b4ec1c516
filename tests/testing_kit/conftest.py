"""The plugin's fixture and marker, also where the plugin is not installed."""

from agent_runtime.testing.plugin import countersign, pytest_configure
from tests.sdk.conftest import _logs_as_before

__all__ = ["_logs_as_before", "countersign", "pytest_configure"]
