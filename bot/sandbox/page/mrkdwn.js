/**
 * Slack's mrkdwn as DOM nodes: emphasis, code, quotes, links, mentions, dates, emoji, entities.
 * Source: docs.slack.dev, "Formatting message text". Every piece of the text ends up in a text node.
 */

import { h } from "./dom.js";
import { unescape } from "./entities.js";
import { bareLink, reference } from "./references.js";
import { emojiNode, withCodes, withSymbols } from "./symbols.js";

const MARKS = { "*": "strong", _: "em", "~": "s" };
const WORD = /[\p{L}\p{N}]/u;
const URL_START = /https?:\/\/[^\s<>|`]+/y;
const EMOJI = /:([a-z0-9_+'-]+):(?::skin-tone-\d:)?/y;

/** Renders mrkdwn `text`; `directory` names users, channels and groups. Returns an array of nodes. */
export function mrkdwn(text, directory) {
  const nodes = [];
  let rest = String(text ?? "");
  for (;;) {
    const start = rest.indexOf("```");
    const end = start < 0 ? -1 : rest.indexOf("```", start + 3);
    if (end < 0 || end === start + 3) break;
    nodes.push(...lines(rest.slice(0, start).replace(/\n$/, ""), directory));
    nodes.push(
      h("pre", { class: "pre" }, verbatim(rest.slice(start + 3, end).replace(/^\n|\n$/g, ""), directory)),
    );
    rest = rest.slice(end + 3).replace(/^\n/, "");
  }
  nodes.push(...lines(rest, directory));
  return nodes;
}

/** A text object, `{type: "mrkdwn" | "plain_text", text}`, as an array of nodes. */
export function textObject(object, directory) {
  if (!object) return [];
  return object.type === "mrkdwn"
    ? mrkdwn(object.text, directory)
    : plain(object.text, object.emoji !== false);
}

/**
 * Plain text. Slack decodes its three entities here too (it hands a button's "&" back as "&amp;").
 * Line breaks stay; `:shortcodes:` become emoji unless `emojis` is false.
 */
export function plain(text, emojis = true) {
  const nodes = [];
  String(text ?? "")
    .split("\n")
    .forEach((line, index) => {
      if (index) nodes.push(h("br"));
      if (line) nodes.push(...withSymbols(unescape(emojis ? withCodes(line) : line)));
    });
  return nodes;
}

/** Plain text as a string, for labels and titles. */
export function plainString(object) {
  return unescape(withCodes(String(object?.text ?? "")));
}

/** Lines, with neighbouring quoted ones gathered in one blockquote; `>>>` quotes all that follows. */
function lines(text, directory) {
  if (!text) return [];
  const nodes = [];
  const all = text.split("\n");
  let plainLines = [];
  const flush = () => {
    if (plainLines.length) nodes.push(...inline(plainLines.join("\n"), directory, ""));
    plainLines = [];
  };
  for (let index = 0; index < all.length; index += 1) {
    const whole = /^(?:&gt;|>){3} ?/.exec(all[index]);
    if (!/^(&gt;|>)/.test(all[index])) {
      plainLines.push(all[index]);
      continue;
    }
    flush();
    const quoted = whole ? [all[index].slice(whole[0].length), ...all.slice(index + 1)] : [];
    while (!whole && index < all.length && /^(&gt;|>)/.test(all[index])) {
      quoted.push(all[index].replace(/^(?:&gt;|>) ?/, ""));
      index += 1;
    }
    nodes.push(h("blockquote", { class: "quote" }, inline(quoted.join("\n"), directory, "")));
    if (whole) return nodes;
    index -= 1;
  }
  flush();
  return nodes;
}

/** Inline markup. `open` holds the marks that are already open: a mark isn't nested in itself. */
function inline(text, directory, open) {
  const nodes = [];
  const hopeless = {}; // mark → up to where no closing one exists: keeps hostile text linear
  let buffer = "";
  let at = 0;
  const put = (node, next) => {
    if (buffer) nodes.push(...withSymbols(unescape(buffer)));
    buffer = "";
    nodes.push(node);
    at = next;
  };
  while (at < text.length) {
    const character = text[at];
    if (character === "\n") {
      put(h("br"), at + 1);
      continue;
    }
    if (character === "<" && at >= (hopeless["<"] ?? 0)) {
      const end = text.indexOf(">", at + 1);
      const node = end > at + 1 ? reference(text.slice(at + 1, end), directory) : null;
      if (node) {
        put(node, end + 1);
        continue;
      }
      if (end < 0) hopeless["<"] = text.length;
    } else if (opens(text, at, open) && at >= (hopeless[character] ?? 0)) {
      const end = closing(text, at, character);
      if (end > 0) {
        put(marked(character, text.slice(at + 1, end), directory, open), end + 1);
        continue;
      }
      hopeless[character] = endOfLine(text, at);
    } else if (character === ":") {
      EMOJI.lastIndex = at;
      const match = EMOJI.exec(text);
      const symbol = match && emojiNode(match[1]);
      if (symbol) {
        put(symbol, EMOJI.lastIndex);
        continue;
      }
    } else if (character === "h" && boundary(text[at - 1])) {
      URL_START.lastIndex = at;
      const match = URL_START.exec(text);
      if (match) {
        const address = match[0].replace(/(?:[.,;:!?)\]}'"]|&gt;|&lt;)+$/, "");
        put(bareLink(unescape(address)), at + address.length);
        continue;
      }
    }
    buffer += character;
    at += 1;
  }
  if (buffer) nodes.push(...withSymbols(unescape(buffer)));
  return nodes;
}

/** Whether a mark may open at `at`: at a word's edge, right before text; one isn't nested in itself. */
function opens(text, at, open) {
  const mark = text[at];
  if (mark === "`") return true;
  const next = text[at + 1] ?? " ";
  return mark in MARKS && !open.includes(mark) && boundary(text[at - 1]) && !/\s/.test(next) && next !== mark;
}

/** Where the mark opened at `from` closes on the same line, or -1. */
function closing(text, from, mark) {
  const limit = endOfLine(text, from);
  for (let at = from + 2; at < limit; at += 1) {
    if (text[at] !== mark) continue;
    if (mark === "`" || (!/\s/.test(text[at - 1]) && boundary(text[at + 1]))) return at;
  }
  return -1;
}

function marked(mark, inner, directory, open) {
  if (mark === "`") return h("code", { class: "code" }, verbatim(inner, directory));
  return h(MARKS[mark], {}, inline(inner, directory, open + mark));
}

function boundary(character) {
  return character === undefined || !WORD.test(character);
}

function endOfLine(text, from) {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}

/** Code: no emphasis and no emoji, yet Slack still resolves what stands in angle brackets. */
function verbatim(text, directory) {
  return text.split(/(<[^<>\n]+>)/).map((part, index) => {
    const node = index % 2 ? reference(part.slice(1, -1), directory) : null;
    return node ?? unescape(part);
  });
}
