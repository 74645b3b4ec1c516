"""The control endpoints: what the page and the tests do in the workspace, as its people would.

All under `/sandbox/api`, JSON in and out, served only to a loopback `Host` and never to another site's page.
Refusals are `{"ok": false, "error", "message"}` with 403, 404, 409 or 422.

| Endpoint | |
|---|---|
| `GET state` | people, channels, user groups, scenarios, `mode` (socket or http), connections, faults |
| `GET stream?user=` | server-sent notices of changes, resumable by `Last-Event-ID` |
| `GET channels?user=` | the conversations of a person, their direct message with the app among them |
| `GET channels/{channel}/messages?user=` | messages and replies; of ephemerals those of `user`, or all |
| `POST messages {channel, user, text, thread_ts?}` | a person posts; `@Name` mentions |
| `POST actions {user, channel, message_ts, action_id, block_id?, confirm?, selected_option?, value?}` | a click |
| `POST actions {user, view_id, action_id, …}` | a click in a view |
| `GET views?user=` | the open modals, the one on top last; the Home first where it was opened |
| `POST views/{id}/submit {user, values}`, `POST views/{id}/close {user, clear?}` | |
| `POST commands {user, channel, command, text}` | a slash command |
| `POST shortcuts {user, callback_id, channel?, message_ts?}` | a message shortcut or a global one |
| `POST home {user}` | opens the App Home |
| `POST scenarios/{id}` | a configured message |
| `POST server {action}` | `kill` or `start`: one JSON line on stdout for the supervising parent |
| `POST faults {…}`, `GET faults` | see `bot.sandbox.faults` |
| `POST reset` | the workspace as configured |
| `POST users/{id} {deleted?, is_restricted?, name?, email?}` | changes a person (`user_change`) |
| `POST usergroups/{id} {users}` | changes a group (`subteam_members_changed`) |
| `POST channels/{id}/members {user, present}` | joins or leaves, also the bot |
| `POST channels/{id} {is_archived}` | archives or unarchives |
| `POST request_url {url}` | verifies the URL as Slack does and switches to HTTP mode; null to Socket Mode |
| `POST deliveries {type, payload}` | delivers a payload as it is, to see what the app refuses |
| `GET calls?method=` | the latest Web API calls |
| `GET files/{id}` | an uploaded file's bytes |

A click on an element that asks to confirm is answered 409 with the dialog as `confirm`, and nothing is delivered,
until it comes with `confirm: true`. Clicks, submissions and commands answer `acked`: whether the app acknowledged in
time, null where Slack tells the app nothing; where it did not, `reason` says why.
"""
