"""Block Kit's limits, refused in Slack's words and with the pointer to what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slack_sdk.models.blocks import ActionsBlock, ButtonElement, ConfirmObject, SectionBlock

from bot.sandbox.blocks.validate import block_problems, view_problems
from tests.sandbox.workspace import Json, Workspace, actions, button, modal, plain, text_input

DIALOG = {"title": plain("Sure?"), "text": plain("Really?"), "confirm": plain("Yes"), "deny": plain("No")}


def option(value: str = "v", text: str = "Option", **fields: Any) -> Json:
    return {"text": plain(text), "value": value, **fields}


def section(**fields: Any) -> Json:
    return {"type": "section", "text": plain("x"), **fields}


def select(**fields: Any) -> Json:
    return {"type": "static_select", "action_id": "s", "placeholder": plain("Choose"), "options": [option()], **fields}


def rich_text(*elements: Json, kind: str = "rich_text_section", **fields: Any) -> Json:
    return {"type": "rich_text", "elements": [{"type": kind, "elements": list(elements), **fields}]}


GOOD: list[Json] = [
    section(expand=True, fields=[{"type": "mrkdwn", "text": "*a*", "verbatim": True}] * 10),
    section(text={"type": "mrkdwn", "text": "x" * 3000}),
    section(accessory={"type": "overflow", "action_id": "o", "options": [option(str(n)) for n in range(5)]}),
    section(accessory={"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"}),
    {"type": "header", "text": plain("x" * 150)},
    {"type": "divider"},
    {"type": "context", "elements": [plain("x"), {"type": "mrkdwn", "text": "y"}]},
    {"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a", "title": plain("A")},
    actions(*[button(str(n), value="v" * 2000, style="danger", confirm=DIALOG) for n in range(25)]),
    actions(select(), button("b", url="https://example.com")),
    text_input("i", multiline=True, min_length=1, max_length=3000, placeholder=plain("Why?")),
    {"type": "markdown", "text": "**x**"},
    rich_text({"type": "text", "text": "x", "style": {"bold": True}}, {"type": "user", "user_id": "U1"}),
    rich_text({"type": "text", "text": "{}"}, kind="rich_text_preformatted", border=0),
    rich_text(
        {"type": "rich_text_section", "elements": [{"type": "emoji", "name": "eyes"}]},
        kind="rich_text_list",
        style="bullet",
    ),
]

BAD: list[tuple[Json, str]] = [
    ({"type": "widget"}, "unsupported type: widget [json-pointer:/blocks/0/type]"),
    ({"text": plain("x")}, "missing required field: type [json-pointer:/blocks/0]"),
    ({"type": "header"}, "missing required field: text [json-pointer:/blocks/0]"),
    (
        {"type": "header", "text": plain("x" * 151)},
        "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
    ),
    (
        {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
        "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]",
    ),
    ({"type": "section"}, "must define either `text` or `fields` [json-pointer:/blocks/0]"),
    (section(text=plain("")), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    (section(text=plain("x" * 3001)), "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
    (section(fields=[plain("x")] * 11), "no more than 10 items allowed [json-pointer:/blocks/0/fields]"),
    (section(fields=[plain("x" * 2001)]), "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]"),
    (section(colour="red"), "invalid additional property: colour [json-pointer:/blocks/0]"),
    (section(block_id="x" * 256), "must be less than 256 characters [json-pointer:/blocks/0/block_id]"),
    (
        section(accessory=text_input("x")["element"]),
        "unsupported type: plain_text_input [json-pointer:/blocks/0/accessory/type]",
    ),
    (
        {"type": "context", "elements": [plain("x")] * 11},
        "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
    ),
    (
        {"type": "context", "elements": [button("b")]},
        "unsupported type: button [json-pointer:/blocks/0/elements/0/type]",
    ),
    ({"type": "actions", "elements": []}, "no less than 1 items allowed [json-pointer:/blocks/0/elements]"),
    (
        actions(*[button(str(n)) for n in range(26)]),
        "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
    ),
    (
        actions(button("b", text=plain("x" * 76))),
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
    ),
    (
        actions(button("b", value="x" * 2001)),
        "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
    ),
    (actions(button("x" * 256)), "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]"),
    (actions(button("b", style="loud")), "must be one of: primary, danger [json-pointer:/blocks/0/elements/0/style]"),
    (
        actions(button("b", confirm=DIALOG | {"title": plain("x" * 101)})),
        "must be less than 101 characters [json-pointer:/blocks/0/elements/0/confirm/title/text]",
    ),
    (
        actions(button("b", confirm=DIALOG | {"text": plain("x" * 301)})),
        "must be less than 301 characters [json-pointer:/blocks/0/elements/0/confirm/text/text]",
    ),
    (
        actions(button("b", confirm=DIALOG | {"deny": plain("x" * 31)})),
        "must be less than 31 characters [json-pointer:/blocks/0/elements/0/confirm/deny/text]",
    ),
    (
        actions(button("b", confirm={"title": plain("x")})),
        "missing required field: text [json-pointer:/blocks/0/elements/0/confirm]",
    ),
    (actions(button("b"), button("b")), "action_id already exists: b [json-pointer:/blocks/0/elements/1/action_id]"),
    (
        actions(select(options=[option("x" * 151)])),
        "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]",
    ),
    (
        actions(select(options=[option(text="x" * 76)])),
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/options/0/text/text]",
    ),
    (
        actions(select(options=[option(str(n)) for n in range(101)])),
        "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    (
        actions({"type": "overflow", "action_id": "o", "options": [option(str(n)) for n in range(6)]}),
        "no more than 5 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    (
        actions({"type": "overflow", "action_id": "o", "options": []}),
        "no less than 1 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    ({"type": "image", "alt_text": "a"}, "must define either `image_url` or `slack_file` [json-pointer:/blocks/0]"),
    (text_input("i", max_length=3001), "must be at most 3000 [json-pointer:/blocks/0/element/max_length]"),
    (rich_text({"type": "blink"}), "unsupported type: blink [json-pointer:/blocks/0/elements/0/elements/0/type]"),
    ({"type": "markdown", "text": "x" * 12_001}, "must be less than 12001 characters [json-pointer:/blocks/0/text]"),
    ("divider", "must be an object [json-pointer:/blocks/0]"),  # type: ignore[list-item]
]


@pytest.mark.parametrize("block", GOOD, ids=lambda block: block["type"])
def test_good_blocks_pass(block: Json) -> None:
    assert block_problems([block]) == []


@pytest.mark.parametrize(("block", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_bad_blocks_are_refused(block: Json, problem: str) -> None:
    assert problem in [str(found) for found in block_problems([block])]


def test_a_message_takes_fifty_blocks_each_with_its_own_id() -> None:
    assert block_problems([{"type": "divider"}] * 50) == []
    assert [str(p) for p in block_problems([{"type": "divider"}] * 51)] == [
        "no more than 50 items allowed [json-pointer:/blocks]"
    ]
    twins = [section(block_id="a"), section(block_id="a")]
    assert [str(p) for p in block_problems(twins)] == ["block_id already exists: a [json-pointer:/blocks/1/block_id]"]
    assert block_problems([actions(button("same")), actions(button("same"))]) == []


def test_what_slacks_own_models_build_passes() -> None:
    confirm = ConfirmObject(title="Sure?", text="Really?", confirm="Yes", deny="No")
    built = [
        SectionBlock(text="*x*", block_id="a").to_dict(),
        ActionsBlock(elements=[ButtonElement(text="Go", action_id="go", value="1", confirm=confirm)]).to_dict(),
    ]
    assert block_problems(built) == []


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        (modal(title=plain("x" * 25)), "must be less than 25 characters [json-pointer:/view/title/text]"),
        (modal(submit=plain("x" * 25)), "must be less than 25 characters [json-pointer:/view/submit/text]"),
        (modal(close=plain("x" * 25)), "must be less than 25 characters [json-pointer:/view/close/text]"),
        (modal(private_metadata="x" * 3001), "must be less than 3001 characters [json-pointer:/view/private_metadata]"),
        (modal(callback_id="x" * 256), "must be less than 256 characters [json-pointer:/view/callback_id]"),
        (modal(title=None), "missing required field: title [json-pointer:/view]"),
        (
            modal(text_input("i"), submit=None),
            "must define `submit` to use an `input` block in modals [json-pointer:/view]",
        ),
        (modal(*[{"type": "divider"}] * 101), "no more than 100 items allowed [json-pointer:/view/blocks]"),
        (modal({"type": "markdown", "text": "x"}), "unsupported type: markdown [json-pointer:/view/blocks/0/type]"),
        (
            modal(text_input("i"), text_input("i")),
            "block_id already exists: i [json-pointer:/view/blocks/1/block_id]",
        ),
        ({"type": "workflow_step"}, "must be one of: modal, home [json-pointer:/view/type]"),
    ],
)
def test_bad_views_are_refused(view: Json, problem: str) -> None:
    assert problem in [str(found) for found in view_problems(view)]


async def test_blocks_can_be_checked_without_sending(workspace: Workspace) -> None:
    assert (await workspace.call("blocks.validate", blocks=json.dumps([section()])))["ok"] is True
    answer = await workspace.call("blocks.validate", blocks=json.dumps([{"type": "widget"}]))
    assert answer["error"] == "invalid_blocks"
    assert [(error["pointer"], error["message"]) for error in answer["errors"]] == [
        ("/blocks/0/type", "unsupported type: widget")
    ]
    assert (await workspace.call("blocks.validate"))["error"] == "invalid_arguments"
    assert (await workspace.call("blocks.validate", view=json.dumps(modal(title=None))))["error"] == "invalid_view"
