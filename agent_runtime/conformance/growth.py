"""What memory a server took under its floods."""

from __future__ import annotations

from collections.abc import Sequence

from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.usage import MIB

PEAK_AT_MOST = 192 * MIB
"""Bytes by which a server may grow under a flood: requests under way (some hundreds), connections (some thousands,
15 KB each), bodies on their way, executions that run (100), and what Python keeps of it.
"""

GROWTH_AT_MOST = 24 * MIB
"""Bytes by which the last round may take more than the one before: 50,000 signatures of Slack's requests are remembered
for ten minutes (250 bytes each), and the same requests never come in quite the same order.
"""


def memory(before: int, peaks: Sequence[int], after: int, seconds: float, mode: str = "") -> Finding:
    """What memory (bytes) was in use before, at the peak of each round of floods, and after them. What Python and the C
    library keep for later use counts: so it is the peaks that must not go on rising.
    """
    violations = []
    if max(peaks) - before > PEAK_AT_MOST:
        violations.append(f"it grew by {(max(peaks) - before) / MIB:.0f} MiB")
    if peaks[-1] - peaks[-2] > GROWTH_AT_MOST:
        violations.append(f"the last round took {(peaks[-1] - peaks[-2]) / MIB:.0f} MiB more than the one before")
    return Finding(
        "P14",
        f"memory of the server{mode}, in MiB",
        {
            "before": round(before / MIB),
            "at the peak of each round": ", ".join(f"{peak / MIB:.0f}" for peak in peaks),
            "after": round(after / MIB),
        },
        tuple(violations),
        seconds,
    )
