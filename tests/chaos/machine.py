"""Hypothesis drives a `World`: doors, clocks, crashes and replicas in any order, with the promises as invariants."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent_runtime.core.approval import ApprovalRequest, Verdict
from agent_runtime.core.duration import DAY, HOUR, MINUTE, SECOND
from agent_runtime.core.execution import LEASE
from tests.chaos.world import PERMITTED, VALID_FOR, Happened, World
from tests.databases import sqlite_template

STEPS_OF_AN_EXECUTION = 16
"""Boundaries that one session passes at most: before and after each write, and around two effects."""

SPANS = (1, SECOND, LEASE - 1, LEASE, VALID_FOR - 1, VALID_FOR, HOUR - 1, HOUR, MINUTE, DAY)

places = st.one_of(st.none(), st.integers(0, STEPS_OF_AN_EXECUTION))
which = st.integers(0, 7)

_template: dict[str, Path] = {}


def template() -> Path:
    """A database with the schema, made once a process."""
    if "path" not in _template:
        _template["path"] = sqlite_template(Path(tempfile.mkdtemp(prefix="countersign-machine-")))
    return _template["path"]


class Promises(RuleBasedStateMachine):
    """`shown` is what stood on each card; `ended` how each approval ended, as it was first seen."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="countersign-machine-"))
        shutil.copyfile(template(), self.folder / "machine.db")
        self.world = World(self.folder / "machine.db")
        self.shown: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.seen: dict[str, ApprovalRequest] = {}
        self.asked = 0

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

    @rule(stop_at=places)
    def work(self, stop_at: int | None) -> None:
        self.world.work(stop_at)

    @rule(at=which, verdict=st.sampled_from(list(Verdict)), who=st.sampled_from(["operator", "webhook", "reviewer"]))
    def decide(self, at: int, verdict: Verdict, who: str) -> None:
        self._decide(at, verdict, who, stale=False)

    @rule(at=which, who=st.sampled_from(["stranger", "requester", "reviewer", "operator"]), stale=st.booleans())
    def try_to_approve(self, at: int, who: str, stale: bool) -> None:
        self._decide(at, Verdict.approved, who, stale=stale)

    @rule(stop_at=places)
    def approve_all_and_work(self, stop_at: int | None) -> None:
        for approval in self._look():
            if approval.kind == "tool":
                self.world.decide(approval, Verdict.approved, "operator", None)
        self.world.work(stop_at)

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
        paused = [one for one in self.world.sleeping if not one.in_effect]
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

    @rule(at=which, table=st.sampled_from(["approvals", "steps"]))
    def tamper(self, at: int, table: str) -> None:
        self._look()
        known = list(self.seen.values())
        if known:
            self.world.tamper(table, known[at % len(known)])

    # --- invariants -----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_unexpected(self) -> None:
        assert not self.world.problems, self.world.problems

    @invariant()
    def unsafe_effects_happen_once(self) -> None:
        happened = Counter(one.reference for one in self.world.effects if one.kind == "unsafe")
        assert all(count == 1 for count in happened.values()), f"P3: {happened}"

    @invariant()
    def keyed_effects_have_one_key(self) -> None:
        calls: dict[tuple[str, str], set[str]] = {}
        for one in self.world.effects:
            if one.kind == "keyed":
                calls.setdefault((one.reference, one.key.partition(":")[0]), set()).add(one.key)
        assert all(len(keys) == 1 for keys in calls.values()), f"P4: {calls}"

    @invariant()
    def what_was_shown_is_what_ran(self) -> None:
        forged = [one for one in self.world.effects if one.reference == "forged" and not self._was_shown(one)]
        assert not forged, f"P5: {forged}"

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
            self.world.close()
            shutil.rmtree(self.folder)

    # --- beneath --------------------------------------------------------------------------------------------------

    def _look(self) -> list[ApprovalRequest]:
        """What is pending, remembered as it is shown."""
        pending = self.world.pending()
        for approval in pending:
            if approval.approval_request_id not in self.seen:
                self.seen[approval.approval_request_id] = approval
                self.shown[approval.approval_request_id] = approval.arguments
        return pending

    def _was_shown(self, effect: Happened) -> bool:
        """Whether a card of this tool showed this argument and was approved."""
        return any(
            approval.tool_name == effect.kind
            and json.loads(self.shown[identifier]).get("reference") == effect.reference
            and self.world.approval(identifier).status == "approved"
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
        if answer == "repeated":
            assert approval.approval_request_id in self.ended or before.pending
            return
        in_time = before.expires_at is None or self.world.now < before.expires_at
        expected = who in PERMITTED and before.pending and in_time and not stale
        if expected:
            assert answer == verdict.value, f"{who} may, and was answered {answer}"
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
        self.an_end_is_an_end()
        self.unsafe_effects_happen_once()
        self.keyed_effects_have_one_key()
        self.what_was_shown_is_what_ran()
        self.effects_are_covered()
        self.nothing_unexpected()
