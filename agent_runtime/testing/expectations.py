"""Assertions on the result of a run, real or mocked, that say what was there instead."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.sdk.events import EventType
from agent_runtime.sdk.results import AgentResult

_OTHER_WORDS = {"completed": ExecutionStatus.succeeded.value}


def expect(result: AgentResult) -> Expectation:
    """Assertions in a chain: `expect(result).completed().used_tool("process_refund")`. Each raises AssertionError."""
    return Expectation(result)


class Expectation:
    """See `expect`. Every method returns the expectation itself."""

    def __init__(self, result: AgentResult) -> None:
        self._result = result

    # --- how it ended -----------------------------------------------------------------------------------------------

    def completed(self) -> Self:
        """It succeeded."""
        return self.status(ExecutionStatus.succeeded.value)

    def failed(self) -> Self:
        """It failed."""
        return self.status(ExecutionStatus.failed.value)

    def status(self, status: str) -> Self:
        """It is succeeded ("completed"), failed, cancelled or waiting; in any case of letters."""
        wanted = _OTHER_WORDS.get(status.lower(), status.lower())
        error = f" ({self._result.error})" if self._result.error else ""
        return self._that(self._result.status == wanted, f"it to be {wanted}; it is {self._result.status}{error}")

    def no_errors(self) -> Self:
        """No `error` event happened."""
        errors = [event.content for event in self._result.events if event.type is EventType.ERROR]
        return self._that(not errors, f"no errors; there are {errors}")

    # --- tools ------------------------------------------------------------------------------------------------------

    def used_tool(self, name: str, *, args: Mapping[str, Any] | None = None) -> Self:
        """The tool was called, with `args` among its arguments; also where people refused the call."""
        calls = [call["args"] for call in self._result.tool_calls if call["name"] == name]
        self._that(bool(calls), f"a call of {name!r}; called were {self._called()}")
        wanted = dict(args or {})
        fits = any(all(key in given and given[key] == wanted[key] for key in wanted) for given in calls)
        return self._that(fits, f"a call of {name!r} with {wanted}; it was called with {calls}")

    def did_not_use_tool(self, name: str) -> Self:
        """The tool was not called."""
        return self._that(name not in self._called(), f"no call of {name!r}; called were {self._called()}")

    def tool_call_order(self, names: Sequence[str]) -> Self:
        """These tools were called in this order, whatever was called between them."""
        called = self._called()
        return self._that(_in_order(names, called), f"calls in the order {list(names)}; it was {called}")

    def tools_used_exactly(self, names: Sequence[str]) -> Self:
        """These tools and no others were called, in any order, however often."""
        return self._that(set(names) == set(self._called()), f"calls of {sorted(set(names))}; it was {self._called()}")

    # --- the answer -------------------------------------------------------------------------------------------------

    def output_contains(self, text: str, *, case_sensitive: bool = True) -> Self:
        """The answer has `text` in it."""
        said = self._said()
        found = text in said if case_sensitive else text.lower() in said.lower()
        return self._that(found, f"{text!r} in the answer; it is {said!r}")

    def output_matches(self, pattern: str) -> Self:
        """The regular expression is found in the answer."""
        return self._that(re.search(pattern, self._said()) is not None, f"/{pattern}/ in the answer; {self._said()!r}")

    def output_type(self, kind: type) -> Self:
        """The answer (`output["result"]`) is of this type; `dict` also fits `output` itself."""
        said = None if self._result.output is None else self._result.output.get("result")
        fits = isinstance(said, kind) or isinstance(self._result.output, kind)
        return self._that(fits, f"an answer of type {kind.__name__}; it is {said!r}")

    # --- events -----------------------------------------------------------------------------------------------------

    def events_contain(self, event_type: str, *, expected: bool = True) -> Self:
        """An event of this type happened, or with `expected=False` none did."""
        found = event_type in self._types()
        return self._that(found is expected, f"{'an' if expected else 'no'} event {event_type!s}; {self._types()}")

    def event_sequence(self, event_types: Sequence[str]) -> Self:
        """Events of these types happened in this order, whatever happened between them."""
        wanted = [str(event_type) for event_type in event_types]
        return self._that(_in_order(wanted, self._types()), f"events in the order {wanted}; it was {self._types()}")

    def max_turns(self, turns: int) -> Self:
        """The model replied `turns` times at most."""
        return self._that(self._result.turns <= turns, f"at most {turns} turns; there were {self._result.turns}")

    # --- people -----------------------------------------------------------------------------------------------------

    def waited_for_approval(self, tool_name: str | None = None) -> Self:
        """People were asked, about a call of `tool_name` where that is given."""
        asked = [approval["tool_name"] for approval in self._result.approvals]
        about = "" if tool_name is None else f" of {tool_name!r}"
        found = bool(asked) if tool_name is None else tool_name in asked
        return self._that(found, f"an approval{about}; asked was about {asked}")

    def approved_by(self, principal: str) -> Self:
        """This principal (`slack:T…:U…`, `api:NAME`, `local:operator`, …) approved."""
        return self._that(principal in self._who("approved"), f"{principal} to approve; {self._decisions()}")

    def rejected(self, reason: str | None = None, *, by: str | None = None) -> Self:
        """A call was rejected, with `reason` in the person's words and by that principal where they are given."""
        rejections = [approval for approval in self._result.approvals if approval["status"] == "rejected"]
        fits = any(
            (reason is None or reason in approval["feedback"]) and (by is None or by == approval["decided_by"])
            for approval in rejections
        )
        wanted = "".join([f" with {reason!r}" if reason is not None else "", f" by {by}" if by is not None else ""])
        return self._that(fits, f"a rejection{wanted}; {self._decisions()}")

    # --- what there is ----------------------------------------------------------------------------------------------

    def _that(self, holds: bool, wanted: str) -> Self:
        if not holds:
            raise AssertionError(f"expected {wanted}")
        return self

    def _called(self) -> list[str]:
        return [str(call["name"]) for call in self._result.tool_calls]

    def _types(self) -> list[str]:
        return [str(event.type) for event in self._result.events]

    def _said(self) -> str:
        said = None if self._result.output is None else self._result.output.get("result")
        return said if isinstance(said, str) else json.dumps(said)

    def _who(self, verdict: str) -> set[str]:
        """The principals who said so, whether their word alone ended the approval or counted towards a quorum."""
        votes = [vote for approval in self._result.approvals for vote in approval.get("decisions", ())]
        ended = [approval["decided_by"] for approval in self._result.approvals if approval["status"] == verdict]
        return {str(vote["by"]) for vote in votes if vote["decision"] == verdict} | {str(by) for by in ended if by}

    def _decisions(self) -> str:
        told = [
            f"{approval['tool_name']} {approval['status']} by {approval['decided_by'] or 'nobody'}"
            for approval in self._result.approvals
        ]
        return ", ".join(told) or "nothing was asked"


def _in_order(wanted: Sequence[str], given: Sequence[str]) -> bool:
    rest = iter(given)
    return all(item in rest for item in wanted)
