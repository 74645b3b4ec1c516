"""The two-step upload of files."""

from __future__ import annotations

import aiohttp

from tests.sandbox.workspace import AGENTS, Workspace, error_of

CONTENT = b"id,amount\n1,49.99\n"


async def test_a_file_is_uploaded_and_shared(workspace: Workspace) -> None:
    parent = (await workspace.say("the rows, please"))["ts"]
    answer = await workspace.client.files_upload_v2(
        channel=AGENTS, thread_ts=parent, filename="rows.csv", content=CONTENT.decode(), title="Rows"
    )
    (file,) = answer["files"]
    reply = (await workspace.messages())[-1]
    assert (reply["thread_ts"], [f["title"] for f in reply["files"]]) == (parent, ["Rows"])
    async with workspace.http.get(f"{workspace.sandbox.url}/sandbox/api/files/{file['id']}") as response:
        assert await response.read() == CONTENT
        assert response.headers["Content-Disposition"] == "attachment"
    async with workspace.http.get(reply["files"][0]["url_private"]) as response:
        assert response.status == 401
    token = {"Authorization": f"Bearer {workspace.sandbox.config.bot_token}"}
    async with workspace.http.get(reply["files"][0]["url_private"], headers=token) as response:
        assert await response.read() == CONTENT


async def test_a_form_upload_is_taken_too(workspace: Workspace) -> None:
    client = workspace.client
    ticket = await client.files_getUploadURLExternal(filename="rows.csv", length=len(CONTENT))
    form = aiohttp.FormData()
    form.add_field("file", CONTENT, filename="rows.csv")
    async with workspace.http.post(ticket["upload_url"], data=form) as response:
        assert response.status == 200
    completed = await client.files_completeUploadExternal(files=[{"id": ticket["file_id"], "title": "Rows"}])
    assert completed["files"][0]["title"] == "Rows"
    async with workspace.http.post(ticket["upload_url"], data=CONTENT) as response:
        assert response.status == 404


async def test_what_cannot_be_uploaded(workspace: Workspace) -> None:
    client = workspace.client
    assert await error_of(client.files_getUploadURLExternal(filename="x", length=0)) == "missing_argument"
    huge = client.files_getUploadURLExternal(filename="x", length=10**9)
    assert await error_of(huge) == "file_upload_size_restricted"
    ticket = await client.files_getUploadURLExternal(filename="x", length=5)
    complete = client.files_completeUploadExternal(files=[{"id": ticket["file_id"]}], channel_id=AGENTS)
    assert await error_of(complete) == "file_not_found"
    async with workspace.http.post(ticket["upload_url"], data=b"123456") as response:
        assert response.status == 400
    async with workspace.http.post(ticket["upload_url"] + "x", data=b"12345") as response:
        assert response.status == 404
