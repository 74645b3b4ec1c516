"""Uploaded files: an upload is a ticket first, then bytes, then a shared file."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from bot.sandbox.workspace.clock import random_id

MAX_BYTES = 16 * 1024 * 1024  # this process holds files in memory; Slack itself takes far more


@dataclass
class File:
    """A file, from its upload ticket on. `content` is None until the bytes have arrived."""

    id: str
    name: str
    size: int
    secret: str
    title: str = ""
    alt_text: str = ""
    content: bytes | None = None
    is_complete: bool = False
    created: int = 0


class Files:
    def __init__(self) -> None:
        self._by_id: dict[str, File] = {}

    def ticket(self, name: str, size: int, alt_text: str, now: int) -> File:
        file = File(random_id("F"), name, size, secrets.token_urlsafe(24), name, alt_text, created=now)
        self._by_id[file.id] = file
        return file

    def get(self, file_id: str) -> File | None:
        return self._by_id.get(file_id)

    def by_secret(self, secret: str) -> File | None:
        return next((f for f in self._by_id.values() if secrets.compare_digest(f.secret, secret)), None)


def file_json(file: File, *, team_id: str, user: str, base_url: str) -> dict[str, Any]:
    """The file object that messages and `files.completeUploadExternal` carry."""
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "alt_txt": file.alt_text,
        "user": user,
        "user_team": team_id,
        "size": file.size,
        "mode": "hosted",
        "is_external": False,
        "is_public": True,
        "url_private": f"{base_url}/files-pri/{team_id}-{file.id}/{file.name}",
        "file_access": "visible",
    }
