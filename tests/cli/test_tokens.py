"""`countersign tokens`."""

from __future__ import annotations

import re

import pytest

from tests.cli.command import Command


async def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(countersign: Command) -> None:
    created = await countersign.done("tokens", "create", "ci", "--scope", "start", "--scope", "read")
    secret = created.out.strip()
    assert re.fullmatch(r"cs_[\w-]{43}", secret)

    listed = await countersign.done("tokens", "list", "--json")
    assert secret not in listed.out
    [token] = listed.json
    assert (token["name"], token["principal"], token["scopes"]) == ("ci", "api:ci", ["start", "read"])
    assert token["expires_at"] is token["revoked_at"] is None

    assert (await countersign.done("tokens", "revoke", "ci")).out == "ci is revoked\n"
    assert (await countersign.done("tokens", "list", "--json")).json[0]["revoked_at"] is not None
    again = await countersign("tokens", "revoke", "ci")
    assert again.status == 1
    assert "'ci'" in again.err


async def test_a_token_for_a_person_that_expires(countersign: Command) -> None:
    options = ["--for", "slack:T0SANDBOX:U0REVIEWER1", "--expires-in-days", "1.5", "--json"]
    created = (await countersign.done("tokens", "create", "phone", "--scope", "decide", *options)).json
    assert created["token"].startswith("cs_")
    listed = await countersign.done("tokens", "list")
    assert "slack:T0SANDBOX:U0REVIEWER1" in listed.out
    assert created["token"] not in listed.out


async def test_an_empty_list_says_how_to_make_one(countersign: Command) -> None:
    assert "countersign tokens create NAME" in (await countersign.done("tokens", "list")).out
    assert (await countersign.done("tokens", "list", "--json")).json == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["ci", "--scope", "everything"], "scopes"),
        (["ci", "--scope", "read", "--for", "U123"], "slack:TEAM:USER"),
        (["ci", "--scope", "read", "--expires-in-days", "99999"], "--expires-in-days"),
    ],
)
async def test_what_cannot_be_used_is_named(countersign: Command, arguments: list[str], word: str) -> None:
    answer = await countersign("tokens", "create", *arguments)
    assert answer.status == 2
    assert word in answer.err


async def test_a_name_is_never_used_twice(countersign: Command) -> None:
    await countersign.done("tokens", "create", "ci", "--scope", "read")
    answer = await countersign("tokens", "create", "ci", "--scope", "read")
    assert answer.status == 1
    assert "choose another name" in answer.err
