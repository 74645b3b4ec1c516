"""The failpoints at which servers are killed, and what leads to each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent_runtime.conformance.reasoners import ASK, CONFIRM, REASONERS

START_OPERATIONS = ("note_policy", "register", "ask_after_restore", "deploy", "beat")
"""What a server commits while it starts."""

OPERATIONS = (
    *START_OPERATIONS,
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
    "seal",
    "retry_later",
    "hand_over",
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
    "release_parked",
    "finish",
)
"""The same for a reasoner's."""

MESSAGE_OPERATIONS = ("take", "keep_receipt", "delivered", "postpone")
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
FROM_THE_DEAD = ("take_over_from", "ask_about_orphans_of")
SQLITE_POINTS = around_commits(FROM_THE_DEAD)
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
    **dict.fromkeys((f"commit.before@{taking}" for taking in FROM_THE_DEAD), "effect.before@keyed"),
    **dict.fromkeys((f"commit.after@{taking}" for taking in FROM_THE_DEAD), "effect.after@checkable"),
    "lookup.after": "effect.after@checkable",
}
"""Points that only recovery reaches, and the crash that it recovers from."""

AFTER_REST = frozenset(around_commits(["resume", "use_answer"]))
"""Points that a server reaches where another died while its coroutines waited for people."""

AT_THE_START = frozenset(around_commits([*START_OPERATIONS, "sweep", "seal", *FROM_THE_DEAD]))
"""Points that a server reaches once while it starts."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a server is to live through until it comes to a point: which reasoner is started ("" for the LLM agent),
    how many executions, how many coroutines it keeps in memory, how long people take to decide, and a call (seconds).
    `fails` is what goes wrong on the way, as a failpoint; `told_to_end` the status of the newest execution at which the
    server gets a SIGTERM ("": never).
    """

    reasoner: str = ""
    started: int = 1
    parked: int = 1000
    people_take: float = 0.0
    call_takes: float = 0.0
    fails: str = ""
    told_to_end: str = ""

    @property
    def winding(self) -> bool:
        """Whether it leads to a point but once."""
        return self != Course(self.reasoner, self.started)


def course_to(point: str) -> Course:
    """That which leads to `point` surely."""
    _, _, about = point.partition("@")
    if about == "release_one":  # one more is parked than there is room for
        return Course(ASK, started=3, parked=1, people_take=0.3)
    if about == "reclaim":  # the line beside goes on before anybody has decided
        return Course(CONFIRM, people_take=0.3)
    if about == "release_parked":
        return Course(ASK, people_take=0.3, told_to_end="waiting")
    if about == "hand_over":
        return Course(call_takes=0.5, told_to_end="running")
    if about == "retry_later":
        return Course(fails="model.before=exception")
    if about == "postpone":
        return Course(fails="post.before=exception")
    if about == "use_answer":
        return Course(ASK)
    return Course(CONFIRM if point in REASONER_POINTS else "")
