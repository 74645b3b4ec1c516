/** Slack's rich_text block: sections, lists, quotes, preformatted text. Source: docs.slack.dev, "Rich text block". */

import { h } from "./dom.js";
import { broadcast, channelMention, dateNode, groupMention, link, userMention } from "./references.js";
import { emojiNode, symbolNode, withSymbols } from "./symbols.js";

const STYLES = { bold: "strong", italic: "em", strike: "s", underline: "u", highlight: "mark", code: "code" };

/** The whole block. */
export function richText(block, directory) {
  return h(
    "div",
    { class: "rich" },
    (block.elements ?? []).map((element) => part(element, directory)),
  );
}

function part(element, directory) {
  const content = () => inline(element.elements, directory);
  switch (element.type) {
    case "rich_text_section":
      return h("div", { class: "rich__section" }, content());
    case "rich_text_quote":
      return h("blockquote", { class: "quote" }, content());
    case "rich_text_preformatted":
      // To be read to the letter: no symbol is drawn here.
      return h(
        "pre",
        { class: "pre", tabindex: "0", aria: { label: "Preformatted text" } },
        inline(element.elements, directory, true),
      );
    case "rich_text_list":
      return list(element, directory);
    default:
      return h("div", { class: "unsupported" }, `Unsupported rich text: ${element.type}`);
  }
}

function list(element, directory) {
  const ordered = element.style === "ordered";
  const indent = Math.min(Math.max(element.indent ?? 0, 0), 8);
  return h(
    ordered ? "ol" : "ul",
    {
      class: `rich__list rich__list--${indent % 3} indent-${indent}${element.border ? " rich__list--border" : ""}`,
      start: ordered ? (element.offset ?? 0) + 1 : null,
    },
    (element.elements ?? []).map((item) => h("li", {}, inline(item.elements, directory))),
  );
}

function inline(elements, directory, exact = false) {
  return (elements ?? []).map((element) => styled(leaf(element, directory, exact), element.style));
}

function leaf(element, directory, exact) {
  switch (element.type) {
    case "text":
      return element.style?.code || exact
        ? String(element.text ?? "")
        : withSymbols(String(element.text ?? ""));
    case "link":
      return link(element.url, element.text) ?? element.text ?? element.url;
    case "emoji":
      return fromCode(element.unicode) ?? emojiNode(element.name) ?? `:${element.name}:`;
    case "user":
      return userMention(element.user_id, directory);
    case "usergroup":
      return groupMention(element.usergroup_id, directory);
    case "channel":
      return channelMention(element.channel_id, directory);
    case "broadcast":
      return broadcast(element.range);
    case "color":
      return element.value;
    case "date":
      return dateNode(
        element.timestamp,
        element.format ?? "{date_short}",
        element.fallback ?? "",
        element.url,
      );
    default:
      return `[${element.type}]`;
  }
}

/** The symbol for code points such as "1f44d" or "1f469-200d-1f4bb". */
function fromCode(unicode) {
  if (!/^[0-9a-f]{2,6}(-[0-9a-f]{2,6})*$/i.test(unicode ?? "")) return null;
  const points = unicode.split("-").map((point) => Number.parseInt(point, 16));
  return points.every((point) => point <= 0x10ffff) ? symbolNode(String.fromCodePoint(...points)) : null;
}

function styled(content, style) {
  let node = content;
  for (const [name, tag] of Object.entries(STYLES)) {
    if (style?.[name]) node = h(tag, { class: name === "code" ? "code" : null }, node);
  }
  return node;
}
