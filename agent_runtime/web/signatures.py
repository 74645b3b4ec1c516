"""Signatures of the approval webhook: the raw body's own, and Standard Webhooks."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Literal

from multidict import CIMultiDict, CIMultiDictProxy

from agent_runtime.core.standard_webhooks import HEADERS, key_of, signature
from agent_runtime.errors import NotAuthenticated

BODY_SIGNATURE = "X-Webhook-Signature"
STANDARD = HEADERS
FRESH = 300
"""Seconds that a Standard Webhooks timestamp may be off, either way."""

_SETTING = "COUNTERSIGN_APPROVAL_WEBHOOK_SECRET"
_HEX = re.compile(rb"sha256=([0-9a-fA-F]{64})")
_ID = re.compile(rb"[!-~]{1,256}")
_TIMESTAMP = re.compile(rb"\d{1,12}")

Headers = CIMultiDict[str] | CIMultiDictProxy[str]


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """The secret as each scheme keys its HMAC; None where the settings leave a scheme out."""

    body: bytes | None
    standard: bytes | None

    @classmethod
    def of(cls, secret: str, schemes: Literal["standard", "body", "both"]) -> WebhookKeys:
        """The keys of COUNTERSIGN_APPROVAL_WEBHOOK_SECRET: `whsec_` and base64 (Standard Webhooks), or any text.

        Raises InvalidSetting where a `whsec_` secret cannot be read or is too short.
        """
        return cls(
            None if schemes == "standard" else secret.encode(),
            None if schemes == "body" else key_of(secret, _SETTING),
        )

    def check(self, headers: Headers, body: bytes, now: int) -> None:
        """Passes a signed request; `now` in epoch seconds. Raises NotAuthenticated with the reason.

        Every scheme whose headers are there must hold, and one must be there: none can be used to get round another.
        """
        signed = False
        if self.body is not None and BODY_SIGNATURE in headers:
            _check_body(self.body, headers, body)
            signed = True
        if self.standard is not None and any(name in headers for name in STANDARD):
            _check_standard(self.standard, headers, body, now)
            signed = True
        if not signed:
            accepted = [BODY_SIGNATURE] * (self.body is not None) + [" ".join(STANDARD)] * (self.standard is not None)
            raise NotAuthenticated(f"the signature is missing; sign the raw body and send {' or '.join(accepted)}")


def _check_body(key: bytes, headers: Headers, body: bytes) -> None:
    """`sha256=` and the hexadecimal HMAC-SHA256 of the raw body."""
    match = _HEX.fullmatch(_only(headers, BODY_SIGNATURE))
    if match is None:
        raise NotAuthenticated(f"{BODY_SIGNATURE}: must be sha256= and 64 hexadecimal digits")
    if not hmac.compare_digest(match[1].lower(), hmac.new(key, body, hashlib.sha256).hexdigest().encode()):
        raise NotAuthenticated(f"{BODY_SIGNATURE}: is not that of this body; sign the exact bytes that are sent")


def _check_standard(key: bytes, headers: Headers, body: bytes, now: int) -> None:
    """Standard Webhooks 1.0.0: `v1,` and the base64 HMAC-SHA256 of `ID.TIMESTAMP.BODY`; several may be listed."""
    message_id, timestamp, signatures = (_only(headers, name) for name in STANDARD)
    if not _ID.fullmatch(message_id):
        raise NotAuthenticated("webhook-id: must be 1 to 256 visible ASCII characters")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise NotAuthenticated("webhook-timestamp: must be seconds since 1970")
    if abs(now - int(timestamp)) > FRESH:
        raise NotAuthenticated(f"webhook-timestamp: is more than {FRESH} seconds off; sign anew when sending again")
    expected = signature(key, message_id, timestamp, body)
    if not any(hmac.compare_digest(given, expected) for given in signatures.split(b" ")):
        raise NotAuthenticated("webhook-signature: none is right; sign webhook-id.webhook-timestamp.body")


def _only(headers: Headers, name: str) -> bytes:
    """The header's bytes; what is not ASCII came in as surrogates or Latin letters, and matches nothing."""
    values = headers.getall(name, [])
    if len(values) != 1:
        raise NotAuthenticated(f"{name}: must be given once")
    return values[0].encode("utf-8", "surrogateescape")
