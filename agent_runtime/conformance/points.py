"""The failpoints at which servers are killed, and what leads to each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent_runtime.conformance.reasoners import ASK, CONFIRM, REASONERS

OPERATIONS = (
    "register",
    "beat",
    "start",
    "claim",
    "record_reply",
    "park",
    "resolve",
    "start_call",
    "finish_call",
    "ask_in_doubt",
    "settle",
    "sweep",
)
"""What is committed on the way of an execution, in order; the last reply is committed with the end."""

REASONER_OPERATIONS = (
    "recall",
    "record_done",
    "adopt",
    "pause",
    "park",
    "reclaim",
    "hear",
    "resume",
    "use_answer",
    "call_child",
    "release_one",
    "finish",
)
"""The same for a reasoner's."""

MESSAGE_OPERATIONS = ("take", "keep_receipt", "delivered")
"""The same for what is shown in Slack."""


def around_commits(operations: Iterable[str]) -> tuple[str, ...]:
    """Before and after the COMMIT of each."""
    return tuple(f"commit.{when}@{operation}" for operation in operations for when in ("before", "after"))


AROUND = (
    *(
        f"effect.{when}@{effect}"
        for effect in ("idempotent", "keyed", "checkable", "unsafe")
        for when in ("before", "after")
    ),
    "lookup.after",
    "model.before",
    "model.after",
)

POINTS = (*around_commits(OPERATIONS), *AROUND)
SQLITE_POINTS = around_commits(["take_over_from"])
"""On PostgreSQL a sweep takes over, once a lease has run out."""

REASONER_POINTS = (
    f"model.before@{REASONERS}",
    f"model.after@{REASONERS}",
    "step.before",
    "step.after",
    *around_commits(REASONER_OPERATIONS),
)

TOPICS = ("approval.card", "approval.note", "execution.progress", "execution.result")

MESSAGE_POINTS = (
    *(f"post.{when}@{topic}" for topic in TOPICS for when in ("before", "after")),
    "update.after@approval.card",
    "update.after@execution.progress",
    *around_commits(MESSAGE_OPERATIONS),
)

AFTER_A_CRASH = {
    "commit.before@ask_in_doubt": "effect.before@unsafe",
    "commit.after@ask_in_doubt": "effect.after@unsafe",
    "commit.before@settle": "effect.after@unsafe",
    "commit.after@settle": "effect.before@unsafe",
    "commit.before@take_over_from": "effect.before@keyed",
    "commit.after@take_over_from": "effect.after@checkable",
    "lookup.after": "effect.after@checkable",
}
"""Points that only recovery reaches, and the crash that it recovers from."""

AFTER_REST = frozenset(around_commits(["resume", "use_answer"]))
"""Points that a server reaches where another died while its coroutines waited for people."""

AT_THE_START = frozenset(around_commits(["register", "beat", "sweep", "take_over_from"]))
"""Points that a server reaches once while it starts."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a server is to live through until it comes to a point: which reasoner is started ("" for the LLM agent),
    how many executions, how many coroutines it keeps in memory, and how long people take to decide (seconds).
    """

    reasoner: str = ""
    started: int = 1
    parked: int = 1000
    people_take: float = 0.0


def course_to(point: str) -> Course:
    """That which leads to `point` surely."""
    _, _, about = point.partition("@")
    if about == "release_one":  # one more is parked than there is room for
        return Course(ASK, started=3, parked=1, people_take=0.3)
    if about == "reclaim":  # the line beside goes on before anybody has decided
        return Course(CONFIRM, people_take=0.3)
    if about == "use_answer":
        return Course(ASK)
    return Course(CONFIRM if point in REASONER_POINTS else "")
