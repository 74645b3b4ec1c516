"""What answers show of rows that hold secrets. Only what is shown is masked; digests are those of the true values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import Step, StepKind
from agent_runtime.core.redaction import REDACTED
from agent_runtime.core.shown import Paths, masked, without_secret_edits

__all__ = ["Paths", "masked", "shown_arguments", "shown_result", "without_secret_edits"]


def shown_arguments(step: Step, paths: Paths) -> Any:
    """The arguments of a call; None for a step that is none."""
    return masked(json.loads(step.arguments), paths) if step.kind == StepKind.tool else None


def shown_result(step: Step, paths: Mapping[str, Paths]) -> Any:
    """What a step recorded; `paths` by the call's id, as a model's message repeats the arguments of its calls."""
    if step.result is None:
        return None
    result: dict[str, Any] = json.loads(step.result)
    shown: Any = masked(result)
    if not isinstance(shown, dict):
        return shown
    if "ran_with" in result:
        shown["ran_with"] = masked(result["ran_with"], paths.get(step.call_id, ()))
    if step.kind == StepKind.model and isinstance(message := result.get("message"), dict):
        for call, shown_call in zip(
            message.get("tool_calls") or (), shown["message"].get("tool_calls") or (), strict=True
        ):
            shown_call["function"]["arguments"] = _text(call, paths)
    return shown


def _text(call: Mapping[str, Any], paths: Mapping[str, Paths]) -> str:
    """The arguments of a model's call, which are JSON within a text (or should be)."""
    try:
        arguments = json.loads(call["function"]["arguments"])
    except ValueError:
        return REDACTED
    return canonical(masked(arguments, paths.get(str(call.get("id")), ())))
