"""The plugin's fixture and marker, also where the plugin is not installed."""

from agent_runtime.testing.plugin import countersign, pytest_configure

__all__ = ["countersign", "pytest_configure"]
