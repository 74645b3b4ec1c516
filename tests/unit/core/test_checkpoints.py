"""The operator's policy file: what it gates, what it refuses, what a title may say."""

from __future__ import annotations

import pytest

from agent_runtime.core.checkpoints import describe, matcher, parse, shadowed
from agent_runtime.core.duration import HOUR, SECOND
from agent_runtime.core.policy import Approval, Defaults, evaluate
from agent_runtime.errors import InvalidSetting

GUIDE = """
[[checkpoint]]
checkpoint_id = "delete-records"
action_pattern = "delete_*"
description_template = "Delete {table} rows where {where}"
reviewers = ["@dba"]

[[channel]]
id = "C0123"
agent = "refund_agent"
"""


def defaults(text: str = GUIDE) -> Defaults:
    return Defaults(checkpoints=parse(text).checkpoints)


def test_a_matching_tool_is_gated_stops_on_a_no_and_has_thirty_seconds() -> None:
    policy = evaluate("delete_records", None, defaults())

    assert policy is not None
    assert policy.rules == ("checkpoint:delete-records",)
    assert policy.reviewers == ("@dba",)
    assert (policy.on_reject, policy.on_expiry) == ("stop", "stop")
    assert policy.expires_after == 30 * SECOND


def test_another_tool_is_free() -> None:
    assert evaluate("read_records", None, defaults()) is None


def test_code_cannot_lower_what_the_file_demands() -> None:
    lax = Approval(reviewers=["U0INTERN"], expires_in_hours=24, on_reject="continue")

    policy = evaluate("delete_records", lax, defaults())

    assert policy is not None
    assert policy.reviewers == ("@dba",)
    assert policy.expires_after == 30 * SECOND
    assert policy.on_reject == "stop"
    assert policy.rules == ("checkpoint:delete-records", "tool:delete_records")


def test_expires_in_hours_takes_the_place_of_the_timeout() -> None:
    text = '[[checkpoint]]\ncheckpoint_id = "a"\naction_pattern = "x"\nexpires_in_hours = 2\non_reject = "continue"\n'

    policy = evaluate("x", None, defaults(text))

    assert policy is not None
    assert policy.expires_after == 2 * HOUR
    assert policy.on_reject == "continue"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("delete_*", "delete_rows", True),
        ("delete_*", "undelete_rows", False),
        ("delete_.*", "delete_rows", True),
        ("(drop|delete)_\\w+$", "drop_table", True),
        ("(drop|delete)_\\w+$", "drop_table!", False),
        ("*_prod", "deploy_prod", True),
        ("*_prod", "deploy_staging", False),
        ("deploy$", "deploy_all", False),
        ("send*", "send_mail", True),
        ("send_*_request", "send_http_request", True),
        ("send_*_request", "resend_http_request", False),
        ("get_?", "get_x", True),
        ("[dr]elete_*", "relete_x", True),
    ],
)
def test_patterns_are_regexes_and_globs(pattern: str, name: str, matches: bool) -> None:
    assert matcher(pattern)(name) is matches


def test_the_title_shows_arguments_masked_and_readable() -> None:
    text = (
        '[[checkpoint]]\ncheckpoint_id = "a"\naction_pattern = "x"\n'
        'description_template = "Run {what} with {password} for {missing} {what.__class__}"\n'
    )

    title = describe("x", {"what": "a\u202eb", "password": "hunter2"}, defaults(text))

    assert title == "Run a\\u{202e}b with [redacted] for {missing} {what.__class__}"


def test_a_title_is_never_longer_than_a_header() -> None:
    text = '[[checkpoint]]\ncheckpoint_id = "a"\naction_pattern = "x"\ndescription_template = "{what}"\n'

    assert len(describe("x", {"what": "y" * 5000}, defaults(text))) <= 140


def test_a_title_masks_what_the_gate_redacts() -> None:
    text = (
        '[[checkpoint]]\ncheckpoint_id = "a"\naction_pattern = "x"\nredact = ["iban"]\n'
        'description_template = "Pay {iban}"\n'
    )
    policy = evaluate("x", None, defaults(text))

    assert policy is not None
    assert describe("x", {"iban": "DE89"}, defaults(text), redacted=policy.redact) == "Pay [redacted]"


def test_shadow_mode_asks_nobody_and_says_what_it_would_have_asked() -> None:
    text = (
        '[[checkpoint]]\ncheckpoint_id = "a"\naction_pattern = "x"\nmode = "shadow"\nreviewers = ["@dba"]\n'
        'redact = ["card"]\ndescription_template = "Run {what} with {card}"\n'
    )

    assert evaluate("x", None, defaults(text)) is None
    would = shadowed("x", {"what": "it", "card": "4242"}, None, defaults(text))
    assert would["rules"] == ["checkpoint:a"]
    assert would["title"] == "Run it with [redacted]"
    assert would["policy"]["reviewers"] == ["@dba"]
    assert would["policy"]["expires_after"] == 30 * SECOND
    assert shadowed("y", {}, None, defaults(text)) == {}
    assert shadowed("delete_records", {}, None, defaults()) == {}


def test_channels_name_their_agent() -> None:
    assert parse(GUIDE).channel_agents == {"C0123": "refund_agent"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[checkpoint]\n", "checkpoints.toml"),
        ("[checkpoint]\ncheckpoint_id = 'a'\n", "[[checkpoint]]"),
        ("[[gate]]\n", "unknown table 'gate'"),
        ("[[checkpoint]]\naction_pattern = 'x'\n", "checkpoint 1: checkpoint_id"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\n", "action_pattern"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\nqorum = 2\n", "did you mean 'quorum'?"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\nquorum = 0\n", "quorum"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\nmode = 'off'\n", "mode"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\ntimeout_seconds = 'soon'\n", "timeout_seconds"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\ntimeout_seconds = 0\n", "timeout_seconds"),
        (
            "[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\ntimeout_seconds = 9\nexpires_in_hours = 1\n",
            "one of them",
        ),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\n" * 2, "used twice"),
        ("[[channel]]\nid = 'C1'\n", "checkpoints.toml: channel 1 (C1): agent"),
        ("[[channel]]\nid = 'C1'\nagent = 'a'\n" * 2, "channel: id 'C1' is used twice"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'delete_('\n", "checkpoint 1 (a): action_pattern"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = ' '\n", "action_pattern"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\ntimeout_seconds = 1e10\n", "timeout_seconds"),
        ("[[checkpoint]]\ncheckpoint_id = 'a'\naction_pattern = 'x'\ntimeout_seconds = nan\n", "timeout_seconds"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        parse(text)

    assert says in refused.value.message
