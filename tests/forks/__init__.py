"""Python processes by fork: an interpreter that has imported everything once starts one in milliseconds, not a second.

What is started so has its own process id, standard streams, environment, folder and session, and ends as any process:
tests signal it, wait for it and read its exit status. What a new interpreter shows is tested by real ones: the wheel,
the demo and its children, `Command.start`.
"""

from __future__ import annotations

from tests.forks.client import Process, launch

__all__ = ["Process", "launch"]
