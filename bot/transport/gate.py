"""What a request must be before anything reads it: small, signed by Slack, fresh, new, and not nested without end.

The signature is Slack's (docs.slack.dev/authentication/verifying-requests-from-slack), over the raw bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qs

MAX_BYTES = 256 * 1024
MAX_DEPTH = 64
"""Block Kit in a message in a payload nests about twenty deep."""

FRESH_SECONDS = 300
REMEMBERED = 50_000
MAX_FORM_FIELDS = 50

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class Refused(Exception):
    """The request is answered with `status`, and nothing of it is read. `reason` is for the log and the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Gate:
    """Checks raw requests. `now` gives epoch seconds."""

    def __init__(self, signing_secret: str, now: Callable[[], float]) -> None:
        self._secret = signing_secret.encode()
        self._now = now
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def admit(self, body: bytes, *, timestamp: str | None, signature: str | None, content_type: str) -> str:
        """The body as text. Raises Refused: 413 too large, 401 not Slack's, stale or replayed, 415, 400 malformed."""
        if len(body) > MAX_BYTES:
            raise Refused(413, f"larger than {MAX_BYTES} bytes")
        given = self._check_signature(body, timestamp, signature)
        text = _text(body, content_type)
        self._remember(given)
        return text

    def forget(self, signature: str | None) -> None:
        """The request was not answered with success: the very same one may come again."""
        self._seen.pop(_bytes(signature), None)

    def _check_signature(self, body: bytes, timestamp: str | None, signature: str | None) -> bytes:
        if timestamp is None or signature is None:
            raise Refused(401, "not signed")
        if not _TIMESTAMP.fullmatch(timestamp) or abs(self._now() - int(timestamp)) > FRESH_SECONDS:
            raise Refused(401, "signed too long ago, or in the future")
        signed = b"v0:" + timestamp.encode() + b":" + body
        expected = b"v0=" + hmac.new(self._secret, signed, hashlib.sha256).hexdigest().encode()
        given = _bytes(signature)
        if not hmac.compare_digest(expected, given):
            raise Refused(401, "not signed by Slack")
        return given

    def _remember(self, signature: bytes) -> None:
        now = self._now()
        while self._seen and next(iter(self._seen.values())) < now - 2 * FRESH_SECONDS:
            self._seen.popitem(last=False)
        if signature in self._seen:
            raise Refused(401, "replayed")
        self._seen[signature] = now
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def is_too_deep(text: str, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON `text` nests deeper than `limit`, without parsing it."""
    if text.count("[") + text.count("{") <= limit:
        return False
    depth, inside, escaped = 0, False, False
    for character in text:
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > limit:
                return True
        elif character in "]}":
            depth -= 1
    return False


def _text(body: bytes, content_type: str) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Refused(400, "not UTF-8") from None
    if content_type == JSON_TYPE:
        payloads = [text]
    elif content_type == FORM_TYPE:
        payloads = _payloads(text)
    else:
        raise Refused(415, f"neither {JSON_TYPE} nor {FORM_TYPE}")
    if any(is_too_deep(payload) for payload in payloads):
        raise Refused(400, "nested too deep")
    if not all(payload.lstrip().startswith("{") for payload in payloads):
        raise Refused(400, "not a JSON object")
    return text


def _payloads(form: str) -> list[str]:
    try:
        return parse_qs(form, max_num_fields=MAX_FORM_FIELDS).get("payload", [])
    except ValueError:
        raise Refused(400, "too many fields") from None


def _bytes(header: str | None) -> bytes:
    """A header as bytes, whatever it holds."""
    return (header or "").encode("utf-8", "surrogateescape")
