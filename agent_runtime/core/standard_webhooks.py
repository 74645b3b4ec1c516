"""Standard Webhooks 1.0.0 (standardwebhooks.com): the key and the signature, for what comes in and what goes out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from agent_runtime.errors import InvalidSetting

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
SHORTEST_KEY = 16
"""Bytes."""


def key_of(secret: str, setting: str) -> bytes:
    """The HMAC key that `secret` means: `whsec_` and base64, or any text.

    Raises InvalidSetting naming `setting` where it cannot be read or is too short.
    """
    encoded = secret.removeprefix("whsec_")
    try:
        key = secret.encode() if encoded == secret else base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise InvalidSetting(f"{setting}: what follows whsec_ is no base64: {error}") from None
    if len(key) < SHORTEST_KEY:
        what = "has" if encoded == secret else "what follows whsec_ has"
        raise InvalidSetting(
            f"{setting}: {what} {len(key)} bytes, fewer than {SHORTEST_KEY}; make one with `openssl rand -hex 32`"
        )
    return key


def signature(key: bytes, message_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """`v1,` and the base64 HMAC-SHA256 of `ID.TIMESTAMP.BODY`."""
    signed = message_id + b"." + timestamp + b"." + body
    return b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
