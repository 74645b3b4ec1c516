/** What of a conversation's messages belongs where: the channel's list, a thread, a parent's replies. */

/** What the channel itself shows: no replies, but those sent to the channel too. */
export function topLevel(messages) {
  return messages
    .filter((message) => !isReply(message) || isBroadcast(message))
    .map((message) => ({ ...message, is_broadcast: isReply(message) }));
}

/** A thread's parent (null where it is gone) and its replies, the viewer's ephemerals included. */
export function threadOf(messages, ts) {
  return {
    parent: messages.find((message) => message.ts === ts) ?? null,
    replies: messages.filter((message) => message.thread_ts === ts && message.ts !== ts),
  };
}

/** The replies by parent; ephemerals don't count, as in Slack. */
export function repliesByParent(messages) {
  const replies = new Map();
  for (const message of messages) {
    if (!isReply(message) || message.ephemeral_to) continue;
    if (!replies.has(message.thread_ts)) replies.set(message.thread_ts, []);
    replies.get(message.thread_ts).push(message);
  }
  return replies;
}

function isReply(message) {
  return Boolean(message.thread_ts) && message.thread_ts !== message.ts;
}

function isBroadcast(message) {
  return message.subtype === "thread_broadcast" || message.is_broadcast === true;
}
