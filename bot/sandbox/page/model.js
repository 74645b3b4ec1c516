/** What the page draws: the workspace as one person sees it, read through the control endpoints. */

import { api } from "./api.js";
import { Directory } from "./directory.js";
import { HOME } from "./route.js";

/**
 * Reads everything that `wanted` (a user id) sees; somebody else where nobody has that id.
 *
 * @returns {Promise<object>} `state`, `directory`, `channels`, `lists` (channel id → messages), `latest` (channel
 *   id → newest ts from somebody else), `views` (open modals, the topmost last), `home` (a view or null), `version`
 *   (another one when names change)
 */
export async function readWorkspace(wanted) {
  const state = await api.state();
  const viewer = viewerOf(state, wanted);
  const [{ channels }, { views }] = await Promise.all([api.channels(viewer), api.views(viewer)]);
  const read = async ({ id }) => [id, (await api.messages(id, viewer)).messages];
  const lists = new Map(await Promise.all(channels.map(read)));
  return {
    state,
    directory: new Directory(state, channels, viewer),
    channels,
    lists,
    latest: new Map([...lists].map(([id, messages]) => [id, newestFromOthers(messages, viewer)])),
    views: views.filter(({ type }) => type !== "home"),
    home: views.find(({ type }) => type === "home") ?? null,
    version: JSON.stringify([
      viewer,
      state.users,
      state.user_groups,
      channels.map(({ id, name }) => [id, name]),
    ]),
  };
}

/**
 * The workspace at a place (see `route.js`), adding `current` (a channel's id or HOME), `channel` (null at Home),
 * `messages`, `thread` (its parent's ts or ""). What the place names and isn't there gives way to the first channel.
 */
export function at(workspace, where) {
  const { channels, lists } = workspace;
  const known = channels.find(({ id }) => id === where.channel);
  const channel = where.channel === HOME ? null : (known ?? channels[0] ?? null);
  const messages = (channel && lists.get(channel.id)) ?? [];
  const isThere = messages.some(({ ts, thread_ts }) => ts === where.thread || thread_ts === where.thread);
  return {
    ...workspace,
    current: channel ? channel.id : HOME,
    channel,
    messages,
    thread: where.thread && isThere ? where.thread : "",
  };
}

/** The parent's ts of the thread that was answered last, or "". */
export function newestThread(messages) {
  const replies = messages.filter(({ ts, thread_ts }) => thread_ts && thread_ts !== ts);
  return replies.reduce((newest, message) => (message.ts > newest.ts ? message : newest), { ts: "", thread_ts: "" })
    .thread_ts;
}

function viewerOf(state, wanted) {
  const { users } = state;
  return (users.find(({ id }) => id === wanted) ?? users.find(({ role }) => role === "requester") ?? users[0])
    .id;
}

function newestFromOthers(messages, viewer) {
  return messages
    .filter(({ user }) => user !== viewer)
    .reduce((newest, { ts }) => (ts > newest ? ts : newest), "");
}
