"""Named places at every commit and effect where a process can be made to fail, so that tests see what it survives.

Off, a place costs a function call that looks at an empty tuple. On, by the environment variable of the name SETTING
(logged as an error at every start) or by `arm`, a place crashes the process as kill -9 does, raises, sleeps, or cancels
what runs. The table of the places is FAILPOINTS; docs/reliability.md shows it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from agent_runtime.errors import InvalidSetting

log = structlog.get_logger(__name__)

SETTING = "COUNTERSIGN_FAILPOINTS"


class Action(StrEnum):
    """What happens at a place."""

    crash = "crash"
    exception = "exception"
    pause = "pause"
    cancel = "cancel"


class FailpointReached(RuntimeError):
    """Raised at a failpoint."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """One place. `about` is what narrows it down; `actions` are those that mean something there."""

    where: str
    about: str
    actions: frozenset[Action] = frozenset(Action)


_NO_EXCEPTION = frozenset({Action.crash, Action.pause})
"""After a COMMIT nothing of the writer's own can raise any more: the connection is lost during it, or the process."""

FAILPOINTS: Mapping[str, Failpoint] = {
    "commit.before": Failpoint(
        "a transaction is written and not yet committed",
        "the operation",
        frozenset({Action.crash, Action.exception, Action.pause}),
    ),
    "commit.after": Failpoint("a transaction is committed and nobody was told", "the operation", _NO_EXCEPTION),
    "write.submitted": Failpoint(
        "somebody awaits a transaction", "the operation", frozenset({Action.crash, Action.pause, Action.cancel})
    ),
    "effect.before": Failpoint("a call is started and its function not yet called", "the tool's effect"),
    "effect.after": Failpoint("a call's function has returned and its result is not recorded", "the tool's effect"),
    "lookup.after": Failpoint("a look-up has told whether a call happened", "the tool's effect"),
    "model.before": Failpoint("the model is about to be asked", "the agent"),
    "model.after": Failpoint("the model has answered and nothing is recorded", "the agent"),
    "step.before": Failpoint("a reasoner's step is about to run", "the step"),
    "step.after": Failpoint("a reasoner's step has run and its result is not recorded", "the step"),
    "post.before": Failpoint("something is about to be posted", "the topic"),
    "post.after": Failpoint("something was posted and its receipt is not stored", "the topic"),
    "update.after": Failpoint("something was repainted and its receipt is not stored", "the topic"),
}


@dataclass(slots=True)
class Plan:
    """What happens at one place, at the `hit`-th time that it is reached for what it is about; from then on always
    where `onward`.
    """

    name: str
    about: str
    action: Action
    seconds: float
    hit: int
    onward: bool
    _hits: int = field(default=0)

    def due(self, about: tuple[str, ...]) -> bool:
        if self.about and self.about not in about:
            return False
        self._hits += 1
        return self._hits == self.hit or (self.onward and self._hits > self.hit)


_SPEC = re.compile(
    r"(?P<name>[a-z.]+)(@(?P<about>[\w.:-]+))?=(?P<action>[a-z]+)(:(?P<seconds>\d+(\.\d+)?))?(#(?P<hit>\d+)(?P<onward>\+)?)?"
)

armed: tuple[Plan, ...] = ()
_counting = threading.Lock()


def reach(name: str, *about: str) -> None:
    """Marks the place `name`; `about` is what is under way there. Does nothing unless it is armed."""
    if armed:
        _reach(name, about)


def arm(specification: str) -> None:
    """Arms `NAME[@ABOUT]=ACTION[:SECONDS][#HIT[+]]`, several separated by `;`, instead of what was armed before.

    `commit.before@resolve=crash#3` crashes before the third COMMIT that holds a decision; `#3+` means from the third
    on. `pause` takes the SECONDS. Raises InvalidSetting naming what cannot be used.
    """
    global armed
    armed = tuple(_parsed(part.strip()) for part in specification.split(";") if part.strip())


def arm_from_environment() -> None:
    """Arms what SETTING says, and says aloud that this process is going to fail on purpose."""
    specification = os.environ.get(SETTING, "")
    if not specification:
        return
    arm(specification)
    log.error(f"{SETTING} is set: this process will fail on purpose; unset it in production", points=specification)


def _parsed(part: str) -> Plan:
    found = _SPEC.fullmatch(part)
    name = found["name"] if found else part
    point = FAILPOINTS.get(name)
    if found is None or point is None:
        raise InvalidSetting(
            f"{SETTING}: {part!r} is no failpoint; write NAME[@ABOUT]=ACTION, of {', '.join(FAILPOINTS)}"
        )
    if found["action"] not in point.actions:
        raise InvalidSetting(f"{SETTING}: {name} knows {', '.join(sorted(point.actions))}, not {found['action']!r}")
    action = Action(found["action"])
    if (action is Action.pause) != (found["seconds"] is not None):
        raise InvalidSetting(f"{SETTING}: {part!r}: pause takes seconds, as in pause:20, and nothing else does")
    return Plan(
        name=name,
        about=found["about"] or "",
        action=action,
        seconds=float(found["seconds"] or 0),
        hit=int(found["hit"] or 1),
        onward=found["onward"] is not None,
    )


def _reach(name: str, about: tuple[str, ...]) -> None:
    with _counting:
        due = [plan for plan in armed if plan.name == name and plan.due(about)]
    for plan in due:
        _fail(plan)


def _fail(plan: Plan) -> None:
    if plan.action is Action.crash:
        os.kill(os.getpid(), signal.SIGKILL)
    elif plan.action is Action.pause:
        time.sleep(plan.seconds)  # blocks the loop too, as where the whole process is paused
    elif plan.action is Action.exception:
        raise FailpointReached(f"failpoint {plan.name}")
    else:
        current = asyncio.current_task()
        if current is not None:
            current.cancel()
