"""Field names that say a secret is behind them, by their words: `apiKey`, `DB_PASSWORD`, `x-auth-token`."""

from __future__ import annotations

import re
from itertools import pairwise

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = frozenset(
    {
        "password", "passwd", "passphrase", "pwd", "passcode", "secret", "token", "authorization",
        "cookie", "credential", "bearer", "jwt", "otp", "cvv", "cvc", "apikey", "authtoken",
        "accesstoken", "refreshtoken", "sessiontoken", "accesskey", "secretkey", "privatekey",
        "clientsecret", "pgpassword",
    }
)  # fmt: skip
_SECRET_PAIRS = frozenset(
    {
        "api_key", "access_key", "secret_key", "private_key", "signing_key", "encryption_key",
        "master_key", "session_id", "session_key", "auth_key", "security_code",
    }
)  # fmt: skip
# A name that ends like these speaks about a secret: its age, its kind, where to get it.
_ABOUT = frozenset(
    {
        "count", "used", "usage", "limit", "budget", "type", "kind", "name", "id", "length", "size",
        "url", "uri", "endpoint", "policy", "status", "expiry", "expires", "expiration", "expired",
        "at", "in", "ttl", "hint", "version", "required", "enabled", "present", "scope", "scopes",
    }
)  # fmt: skip


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret; `tokens_used` and `secret_name` do not."""
    words = _words(name)
    if not words or (words[-1] in _ABOUT and "_".join(words[-2:]) not in _SECRET_PAIRS):
        return False
    pairs = {f"{first}_{second.removesuffix('s')}" for first, second in pairwise(words)}
    single = any(word in _SECRET_WORDS or _singular(word) in _SECRET_WORDS for word in words)
    return single or words[-1] == "pin" or not _SECRET_PAIRS.isdisjoint(pairs)


def is_plural(name: str) -> bool:
    """Whether a number of this name may be a count: `max_tokens`."""
    return any(_singular(word) in _SECRET_WORDS for word in _words(name))


def _singular(word: str) -> str | None:
    return word[:-1] if word.endswith("s") else None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]
