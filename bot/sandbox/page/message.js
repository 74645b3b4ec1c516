/** One message of a conversation. */

import { blocks } from "./blocks.js";
import { avatar } from "./directory.js";
import { h, icon } from "./dom.js";
import { extras } from "./extras.js";
import { mrkdwn } from "./mrkdwn.js";
import { ago, clock, dateOf, exactly } from "./time.js";

/**
 * @param {object} message as the workspace gives it
 * @param {object} view `directory`; `compact` (the same author spoke just before); `replies`, the messages of its
 *   thread, and `openThread(ts)` where threads can be opened from here; `interact(message, use)`; `expanded(ts)`,
 *   the Set of texts opened in it; `testid(message)`
 */
export function messageNode(message, view) {
  const { directory } = view;
  const own = message.ephemeral_to ? " message--ephemeral" : "";
  const classes = `message${view.compact ? " message--compact" : ""}${own}`;
  return h(
    "article",
    {
      class: classes,
      testid: view.testid(message),
      data: { ts: message.ts },
      aria: { label: label(message, directory) },
      tabindex: "-1",
    },
    h(
      "div",
      { class: "message__gutter" },
      view.compact ? time(message, "message__time message__time--hover") : avatar(message.user, directory),
    ),
    h(
      "div",
      { class: "message__body" },
      message.ephemeral_to && h("p", { class: "message__private" }, icon("eye"), "Only visible to you"),
      message.is_broadcast &&
        h("p", { class: "message__private" }, icon("bubble"), "Also sent to the channel from its thread"),
      !view.compact && head(message, directory),
      content(message, view),
      view.replies?.length ? threadLine(message, view) : null,
    ),
    view.openThread && !message.ephemeral_to && toolbar(message, view),
  );
}

/** Whether `message` carries on what `previous` said: the same author within five minutes. */
export function continues(message, previous) {
  if (!previous || previous.user !== message.user || message.ephemeral_to || previous.ephemeral_to)
    return false;
  if (message.blocks.some((block) => block.type === "header")) return false;
  return Number(message.ts) - Number(previous.ts) < 300 && !previous.hasReplies;
}

function head(message, directory) {
  return h(
    "header",
    { class: "message__head" },
    h("strong", { class: "message__author" }, nameOf(message, directory)),
    isApp(message, directory) && h("span", { class: "tag" }, "App"),
    time(message, "message__time"),
  );
}

/** An app's blocks as they are; a person's blocks only repeat the text, which is what was typed. */
function content(message, view) {
  const { directory } = view;
  const edited = message.edited && h("span", { class: "message__edited" }, "(edited)");
  const surface = {
    directory,
    expanded: view.expanded(message.ts),
    interact: (use) => view.interact(message, use),
  };
  const own =
    message.blocks.length && isApp(message, directory)
      ? blocks(message.blocks, surface)
      : h("div", { class: "text" }, mrkdwn(message.text, directory), edited && " ", edited);
  return h(
    "div",
    { class: "message__content" },
    own,
    own.className === "blocks" && edited,
    extras(message, surface),
  );
}

function threadLine(message, view) {
  const replies = view.replies;
  const people = [...new Set(replies.map((reply) => reply.user))].slice(0, 4);
  return h(
    "button",
    {
      type: "button",
      class: "thread-line",
      testid: `thread-${message.ts}`,
      on: { click: () => view.openThread(message.ts) },
    },
    h(
      "span",
      { class: "thread-line__faces" },
      people.map((user) => avatar(user, view.directory, "tiny")),
    ),
    h(
      "span",
      { class: "thread-line__count" },
      `${replies.length} ${replies.length === 1 ? "reply" : "replies"}`,
    ),
    h("span", { class: "thread-line__last" }, "Last reply ", relative(dateOf(replies.at(-1).ts))),
  );
}

function toolbar(message, view) {
  return h(
    "div",
    { class: "message__tools" },
    h(
      "button",
      {
        type: "button",
        class: "button button--quiet",
        testid: `reply-${message.ts}`,
        title: "Reply in thread",
        aria: { label: "Reply in thread" },
        on: { click: () => view.openThread(message.ts) },
      },
      icon("bubble"),
    ),
  );
}

/** A relative time that `refreshDates` keeps current. */
function relative(date) {
  return h(
    "time",
    { datetime: date.toISOString(), title: exactly(date), data: { format: "{ago}" } },
    ago(date),
  );
}

function time(message, className) {
  const date = dateOf(message.ts);
  return h("time", { class: className, datetime: date.toISOString(), title: exactly(date) }, clock(date));
}

function label(message, directory) {
  return `${nameOf(message, directory)}, ${clock(dateOf(message.ts))}${message.ephemeral_to ? ", only visible to you" : ""}`;
}

function nameOf(message, directory) {
  return message.username || directory.nameOf(message.user) || message.user || "Unknown";
}

function isApp(message, directory) {
  return Boolean(message.bot_id) || directory.isBot(message.user);
}
