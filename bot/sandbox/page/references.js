/**
 * What stands in angle brackets in Slack's mrkdwn: `<@U…>`, `<#C…>`, `<!subteam^S…>`, `<!here>`,
 * `<!date^…>`, `<https://…|label>`. Source: docs.slack.dev, "Formatting message text".
 */

import { h } from "./dom.js";
import { unescape } from "./entities.js";
import { dateOf, exactly, formatDate } from "./time.js";

const SAFE_SCHEMES = new Set(["http:", "https:", "mailto:", "tel:"]);
const BROADCASTS = new Set(["here", "channel", "everyone"]);

/** The node for the text between the brackets, or null where it is none of these (shown as it is). */
export function reference(content, directory) {
  if (content.includes("<") || content.includes("\n")) return null;
  const cut = content.indexOf("|");
  const target = cut < 0 ? content : content.slice(0, cut);
  const label = cut < 0 ? "" : unescape(content.slice(cut + 1));
  if (target[0] === "@") return userMention(target.slice(1), directory, label);
  if (target[0] === "#") return channelMention(target.slice(1), directory, label);
  if (target.startsWith("!subteam^")) return groupMention(target.slice(9), directory, label);
  if (target.startsWith("!date^")) return date(target.slice(6), label);
  if (target[0] === "!" && BROADCASTS.has(target.slice(1).split("^")[0])) return broadcast(target.slice(1));
  return link(unescape(target), label);
}

/** `@Name`, marked when it is the person who reads. */
export function userMention(id, directory, label = "") {
  const name = directory.nameOf(id) || label || id;
  const mine = id === directory.viewer ? " mention--me" : "";
  return h("span", { class: `mention${mine}`, data: { user: id } }, `@${name.replace(/^@/, "")}`);
}

/** `#channel`, a link to it where the reader can see it. */
export function channelMention(id, directory, label = "") {
  const channel = directory.channel(id);
  const name = `#${channel?.name || label || id}`;
  if (!channel) return h("span", { class: "mention" }, name);
  return h("a", { class: "mention", href: directory.linkTo(id) }, name);
}

/** `@group`. */
export function groupMention(id, directory, label = "") {
  const name = directory.groupName(id) || label || id;
  return h("span", { class: "mention", data: { group: id } }, `@${name.replace(/^@/, "")}`);
}

/** `@here`, `@channel`, `@everyone`: they concern every reader. */
export function broadcast(range) {
  return h("span", { class: "mention mention--me" }, `@${range}`);
}

/** A date in the reader's own time zone; `{ago}` is kept current (see `refreshDates`). */
export function dateNode(seconds, format, fallback, url = "") {
  const moment = dateOf(seconds);
  if (!/^-?\d+(\.\d+)?$/.test(String(seconds)) || Number.isNaN(moment.getTime())) return fallback;
  const time = h(
    "time",
    { class: "date", datetime: moment.toISOString(), title: exactly(moment) },
    formatDate(moment, format),
  );
  time.dataset.format = format;
  return url && safe(url) ? anchor(url, time) : time;
}

/** Draws every relative date below `root` again. */
export function refreshDates(root) {
  for (const node of root.querySelectorAll("time[data-format]")) {
    const text = formatDate(new Date(node.dateTime), node.dataset.format);
    if (node.textContent !== text) node.textContent = text;
  }
}

/** A link, where the scheme is harmless; otherwise null, so that the text is shown as it is. */
export function link(address, label = "") {
  if (!safe(address)) return null;
  return anchor(address, label || address.replace(/^mailto:/, ""));
}

/** An address that stood in the text by itself. */
export function bareLink(address) {
  return link(address) ?? address;
}

function date(content, fallback) {
  const [seconds, format, url] = content.split("^");
  return format ? dateNode(seconds, unescape(format), fallback, url ? unescape(url) : "") : fallback;
}

function anchor(address, content) {
  return h(
    "a",
    { class: "link", href: address, target: "_blank", rel: "noopener noreferrer", title: address },
    content,
  );
}

function safe(address) {
  try {
    return SAFE_SCHEMES.has(new URL(address).protocol);
  } catch {
    return false; // not an absolute URL: shown as text
  }
}
