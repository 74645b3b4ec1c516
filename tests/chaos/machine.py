"""Hypothesis drives a `World`: doors, clocks, crashes and replicas in any order, with the promises as invariants."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent_runtime.core.approval import ApprovalRequest, Verdict
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import DAY, HOUR, MINUTE, SECOND
from agent_runtime.core.execution import LEASE
from tests.chaos.session import Session, Stop
from tests.chaos.world import PERMITTED, REVIEWERS, VALID_FOR, Happened, World
from tests.databases import sqlite_template

STEPS_OF_AN_EXECUTION = 16
"""Boundaries that one session passes at most: before and after each write, and around two effects."""

SPANS = (1, SECOND, LEASE - 1, LEASE, VALID_FOR - 1, VALID_FOR, HOUR - 1, HOUR, MINUTE, DAY)

FORGED = canonical({"reference": "forged"})
FORGERIES = (
    ("approvals", "arguments", f"'{FORGED}'"),
    ("steps", "arguments", f"'{FORGED}'"),
    ("steps", "tool_version", "'2' || substr(tool_version, 2)"),
)
"""What somebody with access to the file may do: table, column, and what he puts there (SQL)."""

places = st.one_of(st.none(), st.integers(0, STEPS_OF_AN_EXECUTION))
early = st.integers(1, 10)
"""Boundaries up to the end of both effects."""
which = st.integers(0, 7)

_template: dict[str, Path] = {}


def template() -> Path:
    """A database with the schema, made once a process."""
    if "path" not in _template:
        _template["path"] = sqlite_template(Path(tempfile.mkdtemp(prefix="countersign-machine-")))
    return _template["path"]


class Promises(RuleBasedStateMachine):
    """`shown` is what stood on each card; `ended` how each approval ended, as it was first seen; `votes` who of the
    reviewers approved it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-machine-"))
        shutil.copyfile(template(), self.folder / "machine.db")
        self.world = World(self.folder / "machine.db")
        self.shown: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.seen: dict[str, ApprovalRequest] = {}
        self.votes: defaultdict[str, set[str]] = defaultdict(set)

    @initialize(count=st.integers(1, 2))
    def executions(self, count: int) -> None:
        for number in range(count):
            self.world.start(f"ref-{number}")
        self.world.work()

    # --- rules ----------------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 3))
    def start(self, number: int) -> None:
        before = len(self.world.executions)
        first = self.world.start(f"ref-{number}")
        assert self.world.start(f"ref-{number}") == first, "one idempotency key, two executions"
        assert len(self.world.executions) <= before + 1

    @rule(stop_at=places, along=st.booleans())
    def work(self, stop_at: Stop, along: bool = False) -> None:
        self.world.work(stop_at, along=along)

    @rule(at=which, verdict=st.sampled_from(list(Verdict)), who=st.sampled_from(sorted(PERMITTED)))
    def decide(self, at: int, verdict: Verdict, who: str) -> None:
        self._decide(at, verdict, who, stale=False)

    @rule(at=which, who=st.sampled_from(["stranger", "requester", "reviewer", "operator"]), stale=st.booleans())
    def try_to_approve(self, at: int, who: str, stale: bool) -> None:
        self._decide(at, Verdict.approved, who, stale=stale)

    @rule(stop_at=places, along=st.booleans())
    def approve_all_and_work(self, stop_at: Stop, along: bool = False) -> None:
        self._approve_all()
        self.world.work(stop_at, along=along)

    @rule(stop_at=early)
    def approve_all_while_it_sleeps(self, stop_at: Stop) -> None:
        self.world.work(stop_at)
        self._approve_all()
        self._wake_all()

    @rule(first=early, second=early)
    def overtake_a_sleeper(self, first: Stop, second: Stop) -> None:
        """It sleeps past its lease, another takes its execution over and sleeps too, and the first one wakes up."""
        self._approve_all()
        self.world.work(first)
        self.lease_runs_out()
        sleepers = list(self.world.sleeping)
        self.world.work(second)
        for session in sleepers:
            if not session.in_effect:
                self.world.wake(session)

    @rule(at=which)
    def settle(self, at: int) -> None:
        doubts = [one for one in self._look() if one.kind == "in_doubt"]
        if doubts:
            self.world.settle(doubts[at % len(doubts)])

    @rule(at=which, noticed=st.booleans())
    def crash(self, at: int, noticed: bool) -> None:
        if self.world.sleeping:
            self.world.bury(self.world.sleeping[at % len(self.world.sleeping)], noticed=noticed)

    @rule(at=which)
    def wake(self, at: int) -> None:
        paused = self._paused()
        if paused:
            self.world.wake(paused[at % len(paused)])

    @rule(at=which)
    def beat(self, at: int) -> None:
        if self.world.sleeping:
            self.world.beat(self.world.sleeping[at % len(self.world.sleeping)])

    @rule(span=st.sampled_from(SPANS))
    def time_passes(self, span: int) -> None:
        self._look()
        self.world.advance(span)

    @rule()
    def sweep(self) -> None:
        self._look()
        self.world.sweep()

    @rule()
    def lease_runs_out(self) -> None:
        self._look()
        self.world.advance(LEASE)
        self.world.sweep()

    @rule()
    def release(self) -> None:
        if self.world.version == 1:
            self.world.release()

    @rule(at=which, forgery=st.sampled_from(FORGERIES))
    def tamper(self, at: int, forgery: tuple[str, str, str]) -> None:
        self._look()
        known = list(self.seen.values())
        if known:
            self.world.tamper(*forgery, known[at % len(known)])

    # --- invariants -----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_unexpected(self) -> None:
        assert not self.world.problems, self.world.problems

    @invariant()
    def unsafe_effects_happen_once(self) -> None:
        happened = Counter(one.execution_id for one in self.world.effects if one.kind == "unsafe")
        assert all(count == 1 for count in happened.values()), f"P3: {happened}"

    @invariant()
    def keyed_effects_have_one_key(self) -> None:
        calls: defaultdict[str, set[str]] = defaultdict(set)
        for one in self.world.effects:
            if one.kind == "keyed":
                calls[one.execution_id].add(one.key)
        assert all(len(keys) == 1 for keys in calls.values()), f"P4: {calls}"

    @invariant()
    def what_was_shown_is_what_ran(self) -> None:
        unseen = [one for one in self.world.effects if not self._was_shown(one)]
        assert not unseen, f"P5: {unseen}"

    @invariant()
    def an_end_is_an_end(self) -> None:
        self._look()
        for identifier in list(self.seen):
            approval = self.world.approval(identifier)
            if approval.pending:
                assert identifier not in self.ended, f"P2: {identifier} was {self.ended[identifier]}, and is pending"
                continue
            first = self.ended.setdefault(identifier, f"{approval.status} {json.dumps(approval.resolution)}")
            assert first == f"{approval.status} {json.dumps(approval.resolution)}", f"P2: {identifier} ended twice"
            if approval.status == "approved" and approval.expires_at is not None:
                assert (approval.resolved_at or 0) < approval.expires_at, f"P7: {identifier} was approved too late"
            if approval.status == "approved" and (approval.resolution or {})["by"].startswith("slack:"):
                voters = self.votes[identifier]
                assert len(voters) >= approval.policy.quorum, f"P13: {identifier} was approved by {voters} alone"

    @invariant()
    def open_approvals_are_counted(self) -> None:
        pending = Counter(approval.execution_id for approval in self._look())
        for execution_id in self.world.executions:
            execution = self.world.execution(execution_id)
            counted = execution.open_approvals
            assert execution.terminal or counted == pending[execution_id], f"P2: {counted}, not {pending[execution_id]}"

    @invariant()
    def effects_are_covered(self) -> None:
        """P6: every first start of a call has an approval that was live, unexpired and by somebody who may."""
        for execution_id in self.world.executions:
            for step in self.world.journal(execution_id):
                if step.kind != "tool" or step.started_at is None or step.approval_request_id not in self.seen:
                    continue
                approval = self.world.approval(step.approval_request_id)
                if approval.kind != "tool" or step.status not in {"started", "succeeded", "failed"}:
                    continue
                assert approval.status == "approved", f"P6: {step.name} started, its approval {approval.status}"
                assert approval.consumed_at is not None, "P6: an approval that covers a call is not used up"
                valid_until = approval.valid_until or 0
                assert approval.consumed_at < valid_until, "P6: an approval was used after it had lapsed"

    def teardown(self) -> None:
        try:
            self._everything_ends()
        finally:
            self.close()

    def close(self) -> None:
        self.world.close()
        shutil.rmtree(self.folder)

    def check(self) -> None:
        """Every invariant."""
        self.an_end_is_an_end()
        self.unsafe_effects_happen_once()
        self.keyed_effects_have_one_key()
        self.what_was_shown_is_what_ran()
        self.effects_are_covered()
        self.open_approvals_are_counted()
        self.nothing_unexpected()

    # --- beneath --------------------------------------------------------------------------------------------------

    def _look(self) -> list[ApprovalRequest]:
        """What is pending, remembered as it is shown."""
        pending = self.world.pending()
        for approval in pending:
            if approval.approval_request_id not in self.seen:
                self.seen[approval.approval_request_id] = approval
                self.shown[approval.approval_request_id] = approval.arguments
        return pending

    def _approve_all(self) -> None:
        for approval in self._look():
            if approval.kind == "tool":
                self.world.decide(approval, Verdict.approved, "operator", None)

    def _paused(self) -> list[Session]:
        """Who may wake up: within a tool's own code nothing but a crash is meant."""
        return [one for one in self.world.sleeping if not one.in_effect]

    def _wake_all(self) -> None:
        for session in self._paused():
            self.world.wake(session)

    def _was_shown(self, effect: Happened) -> bool:
        """Whether a card of this tool showed this version and this argument and was approved."""
        return any(
            (approval.tool_name, approval.tool_version[0]) == (effect.kind, effect.version)
            and json.loads(self.shown[identifier]).get("reference") == effect.reference
            and (self.ended.get(identifier) or self.world.approval(identifier).status).startswith("approved")
            for identifier, approval in self.seen.items()
        )

    def _decide(self, at: int, verdict: Verdict, who: str, *, stale: bool) -> None:
        self._look()
        tools = [one for one in self.seen.values() if one.kind == "tool"]
        if not tools:
            return
        approval = tools[at % len(tools)]
        before = self.world.approval(approval.approval_request_id)
        answer = self.world.decide(approval, verdict, who, "sha256:" + "0" * 64 if stale else approval.digest)
        voted = self.votes[approval.approval_request_id]
        if answer == "repeated":
            assert not before.pending or who in voted, f"P2: a first decision by {who} was answered as a repetition"
            return
        in_time = before.expires_at is None or self.world.now < before.expires_at
        if who in PERMITTED and before.pending and in_time and not stale:
            if who in voted:
                assert answer == "AlreadyResolved", f"P13: {who} has answered, and was answered {answer}"
                return
            counts = verdict is Verdict.approved and who in REVIEWERS
            if counts:
                voted.add(who)
            more = counts and len(voted) < approval.policy.quorum
            wanted = "pending" if more else verdict.value
            assert answer == wanted, f"P13: {who} may, and was answered {answer}"
            return
        if who not in PERMITTED:
            assert answer == "NotAuthorized", f"P13: {who} was answered {answer}"
        elif not before.pending:
            assert answer in {"AlreadyResolved", "ApprovalExpired", "Conflict"}, f"P2: {answer} after {before.status}"
        elif not in_time:
            assert answer == "ApprovalExpired", f"P7: {answer} after the expiry"
        else:
            assert answer == "StaleDigest", f"P5: a stale digest was answered {answer}"

    def _everything_ends(self) -> None:
        """Nothing is lost: once nobody stops it any more, every execution ends."""
        for session in list(self.world.sleeping):
            self.world.bury(session, noticed=True)
        self.world.advance(LEASE)
        self.world.sweep()
        for _ in range(60):
            for approval in self._look():
                if approval.kind == "in_doubt":
                    self.world.settle(approval)
                else:
                    self.world.decide(approval, Verdict.approved, "operator", None)
            while self.world.work():
                pass
            if all(self.world.execution(one).terminal for one in self.world.executions):
                break
        left = {one: self.world.execution(one).status for one in self.world.executions}
        assert all(status == "succeeded" for status in left.values()), f"P1: {left}"
        self.check()
