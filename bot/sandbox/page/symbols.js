/** Emoji as nodes: drawn by the page where it has a picture, so that they look the same on every machine. */

import { drawing, h } from "./dom.js";
import { emoji, nameOf } from "./emoji.js";
import { PICTURES } from "./emoji_pictures.js";

const DRAWN = new RegExp(`(${Object.keys(PICTURES).join("|")})\uFE0F?`, "u");

/** The node for a shortcode without its colons, null for an unknown one. */
export function emojiNode(name) {
  const symbol = emoji(name);
  return symbol ? symbolNode(symbol) : null;
}

/** The node for one symbol. Its character stays in the text, for copying and for screen readers. */
export function symbolNode(symbol) {
  const picture = PICTURES[symbol.replace("\uFE0F", "")];
  const name = nameOf(symbol);
  const label = name.replaceAll("_", " ") || symbol;
  return h(
    "span",
    {
      class: picture ? "emoji emoji--drawn" : "emoji",
      role: "img",
      title: name ? `:${name}:` : null,
      aria: { label },
    },
    h("span", { class: "emoji__character" }, symbol),
    picture && drawing(picture, "emoji__picture"),
  );
}

/** Text with the symbols in it drawn. Returns strings and nodes. */
export function withSymbols(text) {
  const parts = text.split(DRAWN);
  return parts.map((part, index) => (index % 2 ? symbolNode(part) : part)).filter((part) => part !== "");
}

/** Text with its known `:shortcodes:` replaced by their characters. */
export function withCodes(text) {
  return text.replace(/:([a-z0-9_+'-]+):/g, (code, name) => emoji(name) ?? code);
}
