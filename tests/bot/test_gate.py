"""The raw-body gate of HTTP mode: nothing unsigned, stale, replayed, large or deep is read."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.transport.gate import FORM_TYPE, JSON_TYPE, MAX_BYTES, MAX_DEPTH, Gate, Refused, is_too_deep

SECRET = "a-signing-secret-of-this-test"
NOW = 1_795_000_000
BODY = b'{"type": "event_callback"}'


def signature(body: bytes, timestamp: str = str(NOW), secret: str = SECRET) -> str:
    """As Slack computes it, written down a second time."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


def gate(now: float = NOW) -> Gate:
    return Gate(SECRET, lambda: now)


def admitted(
    body: bytes = BODY,
    *,
    of: Gate | None = None,
    timestamp: str | None = str(NOW),
    signed: str | None = None,
    content_type: str = JSON_TYPE,
) -> str:
    given = signature(body, timestamp or "") if signed is None else signed
    return (of or gate()).admit(body, timestamp=timestamp, signature=given, content_type=content_type)


def refused(**given: object) -> int:
    with pytest.raises(Refused) as refusal:
        admitted(**given)  # type: ignore[arg-type]
    return refusal.value.status


def test_a_signed_request_is_read() -> None:
    assert admitted() == BODY.decode()


def test_slacks_own_example() -> None:
    """The figures of docs.slack.dev/authentication/verifying-requests-from-slack."""
    body = (
        "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    of = Gate("8f742231b10e8888abcd99yyyzzz85a5", lambda: 1531420618)
    given = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert of.admit(body.encode(), timestamp="1531420618", signature=given, content_type=FORM_TYPE) == body


@pytest.mark.parametrize("signed", ["", "v0=", "v0=" + "0" * 64, "v1=x", "ü", "\udcff", signature(BODY).upper()])
def test_not_signed_by_slack(signed: str) -> None:
    assert refused(signed=signed) == 401


def test_no_signature_at_all() -> None:
    with pytest.raises(Refused) as refusal:
        gate().admit(BODY, timestamp=None, signature=None, content_type=JSON_TYPE)
    assert refusal.value.status == 401


def test_the_body_was_changed() -> None:
    assert refused(body=b'{"type":"other"}', signed=signature(BODY)) == 401


def test_another_secret() -> None:
    assert refused(signed=signature(BODY, secret="another-secret-altogether")) == 401


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1e9", "١٢٣", "9" * 40, str(NOW - 301), str(NOW + 301), " 1"])
def test_stale_or_no_time(timestamp: str) -> None:
    assert refused(timestamp=timestamp, signed=signature(BODY, timestamp)) == 401


@pytest.mark.parametrize("off", [-300, 300])
def test_fresh_enough(off: int) -> None:
    assert admitted(timestamp=str(NOW + off), signed=signature(BODY, str(NOW + off)))


def test_replayed() -> None:
    of = gate()
    admitted(of=of)
    assert refused(of=of) == 401


def test_what_failed_may_come_again() -> None:
    of = gate()
    admitted(of=of)
    of.forget(signature(BODY))
    assert admitted(of=of)


def test_memory_of_replays_is_bounded() -> None:
    clock = [float(NOW)]
    of = Gate(SECRET, lambda: clock[0])
    for number in range(50):
        clock[0] = NOW + number * 100
        timestamp = str(int(clock[0]))
        admitted(of=of, timestamp=timestamp, signed=signature(BODY, timestamp))
    assert len(of._seen) <= 7


def test_too_large() -> None:
    body = b'"' + b"x" * MAX_BYTES + b'"'
    assert refused(body=body) == 413


def test_deep_json() -> None:
    assert refused(body=b"[" * 100_000) == 400
    form = b"payload=" + b"%5B" * 1000
    assert refused(body=form, content_type=FORM_TYPE) == 400


def test_many_form_fields() -> None:
    assert refused(body=b"&".join([b"a=1"] * 1000), content_type=FORM_TYPE) == 400


def test_not_utf8() -> None:
    assert refused(body=b"\xff\xfe") == 400


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "application/octet-stream"])
def test_other_types(content_type: str) -> None:
    assert refused(content_type=content_type) == 415


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
)


@given(json_values, st.integers(0, 5), st.booleans())
def test_depth_is_that_of_the_json(value: object, limit: int, ascii_only: bool) -> None:
    def depth(value: object) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        if isinstance(value, list):
            return 1 + max(map(depth, value), default=0)
        return 0

    assert is_too_deep(json.dumps(value, ensure_ascii=ascii_only), limit) == (depth(value) > limit)


def test_limit_of_depth() -> None:
    assert not is_too_deep("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert is_too_deep("[" * (MAX_DEPTH + 1))
