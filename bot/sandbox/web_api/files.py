"""files.* methods: the two-step upload."""

from __future__ import annotations

from typing import Any

from bot.sandbox import posting
from bot.sandbox.errors import SlackError
from bot.sandbox.rates import TIER_4
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.workspace.files import MAX_BYTES, File, file_json
from bot.sandbox.workspace.messages import Message

MAX_ALT_TEXT = 1000


def get_upload_url(call: Call) -> dict[str, Any]:
    name, size = call.args.required("filename"), call.args.number("length", 0)
    if size <= 0:
        raise SlackError("missing_argument")
    if size > MAX_BYTES:
        raise SlackError("file_upload_size_restricted")
    alt_text = call.args.text("alt_txt")
    if len(alt_text) > MAX_ALT_TEXT:
        raise SlackError("alt_txt_too_large")
    file = call.workspace.files.ticket(name, size, alt_text, call.server.clock.seconds())
    return {"upload_url": f"{call.server.base_url}/upload/v1/{file.secret}", "file_id": file.id}


def complete_upload(call: Call) -> dict[str, Any]:
    files = [_uploaded(call, item) for item in _listed_files(call)]
    for file, title in files:
        file.title, file.is_complete = title or file.name, True
    if call.args.text("channel_id"):
        _share(call, [file for file, _ in files])
    config = call.server.config
    return {
        "files": [
            file_json(f, team_id=config.team_id, user=config.bot_user_id, base_url=call.server.base_url)
            for f, _ in files
        ]
    }


def _listed_files(call: Call) -> list[dict[str, Any]]:
    listed = call.args.json("files")
    if not isinstance(listed, list) or not listed or not all(isinstance(item, dict) for item in listed):
        raise SlackError("invalid_arguments", messages=["[ERROR] must be a list of files [json-pointer:/files]"])
    return listed


def _uploaded(call: Call, item: dict[str, Any]) -> tuple[File, str]:
    file = call.workspace.files.get(str(item.get("id", "")))
    if file is None or file.content is None:
        raise SlackError("file_not_found")
    return file, str(item.get("title") or "")


def _share(call: Call, files: list[File]) -> None:
    channel = call.workspace.channel(call.args.text("channel_id"))
    if channel is None:
        raise SlackError("channel_not_found")
    if call.workspace.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    if call.server.is_archived(channel):
        raise SlackError("posting_to_channel_denied")
    posting.post(
        call.server,
        Message(
            channel=channel.id,
            ts=call.server.clock.next_ts(),
            user=call.workspace.bot.id,
            text=call.args.text("initial_comment"),
            thread_ts=call.args.text("thread_ts") or None,
            is_from_app=True,
            files=[file.id for file in files],
            subtype="file_share",
        ),
    )


METHODS = (
    Method("files.getUploadURLExternal", get_upload_url, TIER_4, ("files:write",), takes_json=False),
    Method("files.completeUploadExternal", complete_upload, TIER_4, ("files:write",)),
)
