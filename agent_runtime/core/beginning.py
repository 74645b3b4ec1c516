"""What a start asks for, held against the agent's definition: which reasoner, with what input. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime.core.text import check_storable
from agent_runtime.errors import InvalidRequest, NotFound

ENTRY = "entry"
"""The tag of the reasoner that runs where none is named."""


def begin(
    definition: Mapping[str, Any], reasoner: str | None, given: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """(reasoner or None for the LLM loop, {"prompt": …} or {"input": …}) for what was `given`.

    No reasoner named: the only one, or the one tagged "entry"; an agent without any runs its LLM loop. A prompt given
    to a reasoner is its single text parameter. Raises NotFound for an unknown reasoner, InvalidRequest naming the
    field.
    """
    given = _checked(given)
    reasoners: Sequence[Mapping[str, Any]] = definition.get("reasoners") or ()
    if not reasoners and reasoner is None:
        return None, given
    chosen = _chosen(reasoners, reasoner, str(definition.get("name", "")))
    if "prompt" in given:
        return chosen["name"], {"input": {_text_parameter(chosen): given["prompt"]}}
    _check_input(chosen["name"], chosen["schema"], given["input"])
    return chosen["name"], given


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Either the prompt or the input and nothing else, so that nobody slips in what the runtime adds itself."""
    present = {name: value for name, value in given.items() if value is not None}
    unknown = present.keys() - {"prompt", "input"}
    if unknown or len(present) != 1:
        raise InvalidRequest(
            "send either a prompt (text) or an input (a JSON object)"
            + (f"; {', '.join(sorted(unknown))} is unknown" if unknown else "")
        )
    prompt = present.get("prompt", "-")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequest("prompt: must be text that says what the agent is to do")
    check_storable(prompt, "prompt")
    if not isinstance(present.get("input", {}), Mapping):
        raise InvalidRequest("input: must be a JSON object")
    return present


def _chosen(reasoners: Sequence[Mapping[str, Any]], name: str | None, agent: str) -> Mapping[str, Any]:
    known = ", ".join(str(reasoner["name"]) for reasoner in reasoners) or "none"
    if name is not None:
        found = next((reasoner for reasoner in reasoners if reasoner["name"] == name), None)
        if found is None:
            raise NotFound(f"{agent} has no reasoner called {name!r}; it has {known}")
        return found
    entries = [reasoner for reasoner in reasoners if ENTRY in reasoner["tags"]]
    candidates = entries or reasoners
    if len(candidates) != 1:
        raise InvalidRequest(f"reasoner: name one ({agent}.REASONER); {agent} has {known}")
    return candidates[0]


def _text_parameter(reasoner: Mapping[str, Any]) -> str:
    """The single parameter that a prompt can be."""
    properties: Mapping[str, Any] = reasoner["schema"].get("properties", {})
    required = reasoner["schema"].get("required", [])
    texts = [name for name, schema in properties.items() if schema.get("type") == "string"]
    fits = [name for name in texts if name in required] or texts
    if len(fits) != 1 or set(required) - set(fits):
        raise InvalidRequest(f"prompt: {reasoner['name']} takes {', '.join(properties) or 'nothing'}; send an input")
    return fits[0]


def _check_input(reasoner: str, schema: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Presence of fields; their types are checked where the reasoner runs."""
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in given]
    unknown = [name for name in given if name not in properties]
    if missing:
        raise InvalidRequest(f"input: {reasoner} needs {', '.join(missing)}")
    if unknown:
        raise InvalidRequest(f"input: {reasoner} does not take {', '.join(unknown)}; it takes {', '.join(properties)}")
