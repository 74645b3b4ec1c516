"""Redaction: secrets are masked on cards and in logs, and nothing else is hidden with them."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.core.redaction import REDACTED, is_secret_name, redact, redact_text
from agent_runtime.errors import InvalidDefinition

# Put together here, so that no scanner takes this file for a leak.
SECRETS = {
    "slack bot": "xox" + "b-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    "slack rotated": "xoxe" + ".xoxp-1-Mi0yLTEyMzQ1Njc4OTAtMTIzNDU2Nzg5MA",
    "slack app": "xap" + "p-1-A012345678-1234567890123-abcdef0123456789",
    "openai": "s" + "k-proj-abcDEF1234567890abcDEF1234567890",
    "anthropic": "s" + "k-ant-api03-abcDEF_1234567890-abcDEF1234567890",
    "stripe": "s" + "k_live_abcDEF1234567890",
    "github": "gh" + "p_abcDEF1234567890abcDEF1234567890abcd",
    "github fine": "github" + "_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "gitlab": "glp" + "at-abcDEF1234567890abcd",
    "aws": "AK" + "IAIOSFODNN7EXAMPLE",
    "google": "AI" + "zaSyA1234567890abcdefghijklmnopqrstuv",
    "jwt": "ey" + "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "webhook": "wh" + "sec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "pem": "-----BEGIN RSA " + "PRIVATE KEY-----\n" + ("MIIEpAIBAAKCAQEA" * 4 + "\n") * 5 + "dGVzdA==\n"
    "-----END RSA " + "PRIVATE KEY-----",
    "pem on one line": "-----BEGIN " + "PRIVATE KEY-----\\n" + "MIIEpAIBAAKCAQEA" * 4
    + "\\n-----END PRIVATE KEY-----",
}  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("around", ["{}", "curl -H {} now", "({}).", '"{}"', "key: {}\nnext line"])
def test_a_well_known_secret_is_masked_anywhere(name: str, around: str) -> None:
    text = redact_text(around.format(SECRETS[name]))
    assert SECRETS[name] not in text
    assert not any(part in text for part in (SECRETS[name][8:20], SECRETS[name][-14:-1]))
    assert text.startswith(around.partition("{")[0])
    assert text.endswith(around.rpartition("}")[2])
    shown = json.dumps(redact({"deep": [{"note": around.format(SECRETS[name])}]}))
    assert REDACTED in shown
    assert not any(part in shown for part in (SECRETS[name][8:20], SECRETS[name][-14:-1]))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql+asyncpg://app:hunter2@db.example/x", "postgresql+asyncpg://app:[redacted]@db.example/x"),
        ("https://hooks.slack." + "com/services/T000/B000/XXXX", "https://hooks.slack.com/[redacted]"),
        ("password=hunter2 user=bob", "password=[redacted] user=bob"),
        ("DB_PASSWORD: 'two words', x=1", "DB_PASSWORD: [redacted], x=1"),
        ('{"api_key": "abc", "page": 2}', '{"api_key": [redacted], "page": 2}'),
        ("mysql --password hunter2 --host db", "mysql --password [redacted] --host db"),
        ("run --api-key=abc --dry-run", "run --api-key=[redacted] --dry-run"),
        ("?token=abc&page=2", "?token=[redacted]&page=2"),
        ("Authorization: Bearer abc.def/ghi=", "Authorization: [redacted]"),
        ("sent bearer a1b2c3d4e5f6 to it", "sent bearer [redacted] to it"),
        ("Cookie: sid=abc; theme=dark", "Cookie: [redacted]"),
    ],
)
def test_named_secrets_are_masked_in_text(text: str, masked: str) -> None:
    assert redact_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Refund 29.99 for ORD-8821 to cust_001",
        "max_tokens=500 tokens used: 12",
        "a basic understanding of the bearer of bad news",
        "sk-short, risk-management-for-everybody",
        "https://example.com:8080/a@b?x=1",
        "task-abcdefghijklmnopqrstuvwxyz",
        "SELECT * FROM secrets WHERE token IS NULL",
        "-----BEGIN CERTIFICATE-----",
        "eyJ is how they begin",
        "the secretary tokenized keyboards",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "exe_0190f2a4b6c87def8123456789abcdef",
    ],
)
def test_honest_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://app:hunter2@db/x", "postgresql://app:[redacted]@db/x"),
        ("mysql --password hunter2 -h db", "mysql --password [redacted] -h db"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted] psql"),
        ("curl '?api_key=abc&page=2'", "curl '?api_key=[redacted]&page=2'"),
        ('-d \'{"token": "abc", "n": 1}\'', '-d \'{"token": "[redacted]", "n": 1}\''),
        ("-H 'Authorization: Bearer abcdef0123456789'", "-H 'Authorization: Bearer [redacted]'"),
    ],
)
def test_named_secrets_are_masked_on_cards(text: str, masked: str) -> None:
    assert redact({"command": text}) == {"command": masked}


@pytest.mark.parametrize("danger", ["DROP TABLE orders", "DROP/**/TABLE/**/orders", 'TRUNCATE"orders"', "rm -rf /"])
@pytest.mark.parametrize(
    "disguise",
    [
        '/* token=" */; {}; /* " */',
        "-- token:\n{}",
        "-- token=\n{}",
        "token='\n;{};'",
        "x://a:;{};@b",
        "cookie: a=b; {}",
        "authorization: {}",
        "basic {} 1=",
        "-----BEGIN PRIVATE " + "KEY-----\n{}\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE " + "KEY-----{}",
    ],
)
def test_no_danger_hides_on_a_card_as_a_secret(disguise: str, danger: str) -> None:
    shown = redact({"query": disguise.replace("{}", danger)})
    assert isinstance(shown, dict)
    assert danger in str(shown["query"])


def test_a_key_block_hides_no_words() -> None:
    text = redact_text("-----BEGIN " + "PRIVATE KEY-----\nnow DROP TABLE orders and pay everyone")
    assert text == "[redacted]\nnow DROP TABLE orders and pay everyone"


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "DB_PASSWORD", "dbPassword", "user.password", "password_hash",
        "new-password", "secret", "client_secret", "clientSecret", "token", "accessToken",
        "x-auth-token", "api_key", "apiKey", "APIKey", "X-Api-Key", "apikey", "Authorization",
        "cookie", "Set-Cookie", "cookies", "private_key", "privateKey", "aws_secret_access_key",
        "passphrase", "credentials", "session_id", "cvv", "card_pin", "tokens",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert redact({name: "x1"}) == {name: REDACTED}
    assert redact({"a": [{name: ["x1", {"b": "x2"}]}]}) == {"a": [{name: [REDACTED, {"b": REDACTED}]}]}


@pytest.mark.parametrize(
    "name",
    [
        "tokens_used", "max_tokens", "token_count", "tokenizer", "secretary", "key", "keyboard",
        "primary_key", "token_type", "secret_name", "password_changed_at", "access_key_id",
        "token_url", "author", "monkey", "passenger", "cookiecutter", "order_id", "pin_message",
        "spin", "public_key", "", "_", "1",
    ],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    value = 7 if name == "max_tokens" else "shown"
    assert redact({name: value}) == {name: value}


def test_counts_flags_and_nulls_stay() -> None:
    shown = {"tokens": 500, "has_password": True, "password": None, "token": False}
    assert redact(shown) == shown
    assert redact({"password": 12345, "tokens": ["a"]}) == {"password": REDACTED, "tokens": [REDACTED]}


CARD: dict[str, Any] = {
    "card": {"number": "4242", "holder": "Alex"},
    "items": [{"sku": "A", "hidden": 1}, {"sku": "B", "hidden": 2}],
    "a": {"iban": "X1", "b": {"iban": "X2", "c": [{"iban": "X3"}]}},
    "x.y": "dotted",
}


def masked_at(*places: tuple[str | int, ...]) -> Any:
    expected: Any = copy.deepcopy(CARD)
    for place in places:
        spot = expected
        for step in place[:-1]:
            spot = spot[step]
        spot[place[-1]] = REDACTED
    return expected


@pytest.mark.parametrize(
    ("paths", "places"),
    [
        ([], []),
        (["card.number"], [("card", "number")]),
        (["*.number"], [("card", "number")]),
        (["card"], [("card",)]),
        (["card.*"], [("card", "number"), ("card", "holder")]),
        (["items[*].hidden"], [("items", 0, "hidden"), ("items", 1, "hidden")]),
        (["items.*.hidden"], [("items", 0, "hidden"), ("items", 1, "hidden")]),
        (["items.hidden"], [("items", 0, "hidden"), ("items", 1, "hidden")]),
        (["items[1].hidden"], [("items", 1, "hidden")]),
        (["items[*]"], [("items", 0), ("items", 1)]),
        (["*.iban"], [("a", "iban")]),
        (["**.iban"], [("a", "iban"), ("a", "b", "iban"), ("a", "b", "c", 0, "iban")]),
        (["a.**.iban"], [("a", "iban"), ("a", "b", "iban"), ("a", "b", "c", 0, "iban")]),
        (["x.y"], [("x.y",)]),
        (['["x.y"]'], [("x.y",)]),
        (["number", "card.none", "card.number.deeper", "items[9].hidden"], []),
        (["card.number", "items[0]"], [("card", "number"), ("items", 0)]),
    ],
)
def test_paths(paths: list[str], places: list[tuple[str | int, ...]]) -> None:
    before = copy.deepcopy(CARD)
    assert redact(CARD, paths) == masked_at(*places)
    assert before == CARD


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a]b", "a.[0]", "a[0]b", "[]"])
def test_a_path_that_cannot_be_read_is_refused_by_name(path: str) -> None:
    with pytest.raises(InvalidDefinition, match="cannot read") as caught:
        redact({}, [path])
    assert repr(path) in str(caught.value)


def test_two_keys_that_are_secrets_stay_two_entries() -> None:
    first, second = SECRETS["github"], SECRETS["github"] + "x"
    shown = redact({first: 1, second: 2, "[redacted] #2": 3})
    assert isinstance(shown, dict)
    assert list(shown.values()) == [1, 2, 3]
    assert SECRETS["github"] not in json.dumps(shown)


names = st.sampled_from(["a", "b", "card", "password", "apiKey", "items"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([*SECRETS.values(), "plain", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)
paths = st.lists(st.sampled_from(["a", "*.a", "a.b", "items[*].card", "**.card", "a[0]", "*"]), max_size=3)


@given(st.dictionaries(names, json_values, max_size=4), paths)
@settings(max_examples=300, deadline=None)
def test_a_copy_without_secrets_and_with_the_same_shape(arguments: dict[str, Any], masks: list[str]) -> None:
    before = copy.deepcopy(arguments)
    shown = redact(arguments, masks)
    assert arguments == before
    text = json.dumps(shown, ensure_ascii=False)
    assert not any(json.dumps(secret, ensure_ascii=False)[1:-1] in text for secret in SECRETS.values())
    assert redact(shown, masks) == shown

    def same_shape(one: Any, other: Any) -> bool:
        if other == REDACTED:
            return True
        if isinstance(one, dict):
            return list(one) == list(other) and all(same_shape(one[key], other[key]) for key in one)
        if isinstance(one, list):
            return len(one) == len(other) and all(map(same_shape, one, other))
        return isinstance(one, str) or one == other

    assert same_shape(arguments, shown)


@given(st.text(st.sampled_from("eyJ.-_sk xob=:/@'\"\\;\n") | st.characters(), max_size=80))
@settings(max_examples=200, deadline=None)
def test_text_is_masked_once_and_for_all(text: str) -> None:
    assert redact_text(redact_text(text)) == redact_text(text)


@pytest.mark.parametrize(
    "hostile",
    ["eyJ" * 80_000, "eyJaaaaaa." * 25_000, "token" + " " * 200_000, "a://" * 60_000, "x://:" + ":" * 200_000,
     "password_" * 25_000, "-----BEGIN PRIVATE " * 10_000, "token=" * 40_000, "cookie:" + "a=" * 100_000,
     "A" * 250_000, 'token="' + "\\" * 200_000, "--token " * 30_000, "bearer " * 35_000, "a-" * 120_000,
     "-----BEGIN " + "PRIVATE KEY-----" + "A" * 200_000],
)  # fmt: skip
def test_hostile_text_costs_little(hostile: str) -> None:
    started = time.process_time()
    redact_text(hostile)
    assert time.process_time() - started < 1.5
