"""What secrets look like inside text: well-known tokens, key blocks, passwords in URLs, `name=value`.

A card and a log differ. On a card, masking must not let a text hide what it does by posing as a secret, so
each pattern takes the characters of a secret alone: no spaces, quotes, slashes or punctuation of a command.
A log line is not decided on, so there whatever stands behind such a name goes. Patterns start only where a
word starts, so that long hostile texts cost linear time.
"""

from __future__ import annotations

import functools
import re

REDACTED = "[redacted]"

_WORD_START = r"(?<![A-Za-z0-9_-])"

# Prefixes as their issuers document them (also used by their push protection).
_TOKENS = "|".join(
    (
        r"xox[a-z](?:\.xox[bp])?-[A-Za-z0-9-]{8,}",  # Slack
        r"xapp-\d-[A-Za-z0-9-]{8,}",
        r"sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic
        r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
        r"whsec_[A-Za-z0-9+/=]{16,}",  # Standard Webhooks
        r"gh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
        r"github_pat_[A-Za-z0-9_]{20,}",
        r"glpat-[A-Za-z0-9_-]{16,}",  # GitLab
        r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
        r"AIza[A-Za-z0-9_-]{30,}",  # Google
        r"ya29\.[A-Za-z0-9_-]{20,}",
        r"npm_[A-Za-z0-9]{30,}",
        r"pypi-[A-Za-z0-9_-]{32,}",
        r"hf_[A-Za-z0-9]{30,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
        r"eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*",  # JSON Web Token
    )
)
_WHOLE = f"{_WORD_START}(?:{_TOKENS})"

_LINE_BREAK = r"(?:\\r|\\n|\s){0,8}"
_KEY_LABEL = r"(?:RSA |DSA |EC |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----"
_KEY_BLOCK = (
    rf"-----BEGIN {_KEY_LABEL}(?:{_LINE_BREAK}[A-Za-z0-9+/=]{{24,}})*"
    rf"(?:(?:{_LINE_BREAK}[A-Za-z0-9+/=]{{1,24}})?{_LINE_BREAK}-----END {_KEY_LABEL})?"
)

_NAME = (
    r"(?:[A-Za-z0-9_-]{0,40}[_-])?(?:(?:pg)?password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|secret[_-]?key|signing[_-]?key|credentials?)"
)
_URL_USER = r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@?#]*:"
_SCHEME = rf"{_WORD_START}(?:bearer|basic)\s{{1,4}}"

_VALUE = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^\s"',;&<>(){}\[\]]+)"""


@functools.cache
def _on_cards() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns and what stands in their place; compiled when a text is first looked at, as that takes a while."""
    kept = rf"\1{REDACTED}"
    return (
        (re.compile(_KEY_BLOCK), REDACTED),
        (re.compile(_WHOLE), REDACTED),
        (re.compile(r"(https://hooks\.slack\.com/)[A-Za-z]+/[A-Za-z0-9/_-]+"), kept),
        (re.compile(rf"({_URL_USER})[A-Za-z0-9._~%!$&+=-]{{1,200}}(?=@)"), kept),
        (
            re.compile(
                rf"({_SCHEME})(?=[A-Za-z._~+-]*[0-9=])[A-Za-z0-9+~_-][A-Za-z0-9._~+=-]{{15,}}",
                re.IGNORECASE,
            ),
            kept,
        ),
        (
            re.compile(
                rf"""({_WORD_START}(?:--{_NAME}[ =]|{_NAME}=|{_NAME}["']:[ ]?)["']?)"""
                r"[A-Za-z0-9_.~!@#$%^+-]{1,200}",
                re.IGNORECASE,
            ),
            kept,
        ),
    )


@functools.cache
def _in_logs() -> tuple[re.Pattern[str], ...]:
    """What a log line hides beside what a card does; of each match the first group is kept."""
    return (
        re.compile(rf"({_URL_USER})[^\s/@]+(?=@)"),
        re.compile(rf"({_SCHEME})(?=[A-Za-z._~+/-]*[0-9=])[A-Za-z0-9._~+/=-]{{8,}}", re.IGNORECASE),
        re.compile(
            rf"""({_WORD_START}(?:proxy-)?authorization["']?\s{{0,4}}[=:]\s{{0,4}}["']?)"""
            r"""(?:[A-Za-z-]{1,20}[ \t]{1,4})?[^\s"',;&]+""",
            re.IGNORECASE,
        ),
        re.compile(
            rf"""({_WORD_START}(?:set-)?cookie["']?\s{{0,4}}[=:]\s{{0,4}}["']?)"""
            r"""(?:[^\s;="']+=[^\s;"']*(?:;[ \t]*)?)+""",
            re.IGNORECASE,
        ),
        re.compile(
            rf"({_WORD_START}(?:--{_NAME}[ \t]{{1,4}}|"
            rf"""(?:--)?{_NAME}(?:\\?["'])?\s{{0,4}}[=:]\s{{0,4}})){_VALUE}""",
            re.IGNORECASE,
        ),
    )


def redact_text(text: str) -> str:
    """`text` for a log, every secret that shows itself replaced by `[redacted]`.

    Names, hosts and user names around a secret stay, so that the line still says what it is about.
    """
    text = redact_shown(text)
    for pattern in _in_logs():
        text = pattern.sub(rf"\1{REDACTED}", text)
    return text


def redact_shown(text: str) -> str:
    """`text` for a card: as `redact_text`, but nothing is masked that could be part of a command."""
    for pattern, instead in _on_cards():
        if pattern.search(text):  # seldom, and a substitution takes several times as long to find nothing
            text = pattern.sub(instead, text)
    return text
