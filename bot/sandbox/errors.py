"""The one error that a Slack method or a control endpoint answers with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class SlackError(Exception):
    """A refusal in Slack's own words: `{"ok": false, "error": code, …}`.

    Args:
        code: Slack's error code, for example `channel_not_found`.
        messages: what `response_metadata.messages` explains, each already led by `[ERROR]`.
        status: the HTTP status; Slack answers 200 to nearly everything, 429 to what comes too fast.
        headers: additional HTTP headers.
        fields: additional members of the answer, for example `needed` and `provided`.
    """

    def __init__(
        self,
        code: str,
        *,
        messages: Iterable[str] = (),
        status: int = 200,
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.messages = list(messages)
        self.status = status
        self.headers = headers or {}
        self.fields = fields

    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"ok": False, "error": self.code, **self.fields}
        if self.messages:
            answer["response_metadata"] = {"messages": self.messages}
        return answer


class ControlError(Exception):
    """A control endpoint's refusal: an HTTP status and a JSON body that names the field and the remedy."""

    def __init__(self, status: int, error: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.fields = fields

    def body(self) -> dict[str, Any]:
        return {"ok": False, "error": self.error, "message": self.message, **self.fields}
