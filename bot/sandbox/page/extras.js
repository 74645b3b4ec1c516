/** What hangs on a message besides its text and blocks: attachments, files, reactions. */

import { blocks } from "./blocks.js";
import { h, icon } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";
import { emojiNode } from "./symbols.js";

/** The nodes; none for most messages. `surface`: see `blocks`. */
export function extras(message, surface) {
  const attachments = (message.attachments ?? []).map((item) => attachment(item, surface));
  const files = (message.files ?? []).map(file);
  const reactions = (message.reactions ?? []).map(reaction);
  return [
    attachments,
    files.length ? h("div", { class: "files" }, files) : null,
    reactions.length ? h("div", { class: "reactions" }, reactions) : null,
  ];
}

/** An attachment, the older way of adding to a message: a coloured bar beside blocks or text. */
function attachment({ color, blocks: list, pretext, title, text, fallback }, surface) {
  const words = (value) => value && h("div", { class: "text" }, mrkdwn(value, surface.directory));
  const content = list?.length
    ? blocks(list, surface)
    : [title && h("strong", {}, title), words(text ?? (title ? "" : fallback))];
  const bar = h("div", { class: "attachment__bar" });
  const named = { good: "var(--online)", warning: "var(--warn)", danger: "var(--danger)" }[color];
  const shade = named ?? (/^#?[0-9a-f]{6}$/i.test(color ?? "") ? `#${color.replace("#", "")}` : "");
  if (shade) bar.style.background = shade;
  return [
    words(pretext),
    h("div", { class: "attachment" }, bar, h("div", { class: "attachment__content" }, content)),
  ];
}

function file({ id, name, title, size }) {
  const known = Boolean(name);
  return h(
    known ? "a" : "span",
    {
      class: "file",
      href: known ? `/sandbox/api/files/${encodeURIComponent(id)}` : null,
      download: known ? name : null,
    },
    icon("file"),
    h("span", {}, title || name || "A file that was removed"),
    known && h("span", { class: "file__size" }, `${Math.max(1, Math.round(size / 1024))} KB`),
  );
}

function reaction({ name, count, users }) {
  return h(
    "span",
    { class: "reaction", title: `${users.length} reacted with :${name}:` },
    emojiNode(name) ?? `:${name}:`,
    h("span", {}, String(count)),
  );
}
