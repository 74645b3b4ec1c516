/**
 * Block Kit as DOM nodes, drawn as Slack draws it.
 *
 * A `surface` is where the blocks stand: `{directory, interact({element, block, state, node}), expanded, form}`;
 * `expanded` is a Set that remembers which folded texts were opened; `form` takes the inputs of a modal.
 * Source: docs.slack.dev, "Blocks".
 */

import { h } from "./dom.js";
import { element, image } from "./elements.js";
import { textObject } from "./mrkdwn.js";
import { richText } from "./rich_text.js";

/** Longer text is folded behind "Show more", unless the section says `expand: true`. */
const FOLD_CHARACTERS = 700;
const FOLD_LINES = 12;

/** All blocks, in a container. */
export function blocks(list, surface) {
  return h(
    "div",
    { class: "blocks" },
    list.map((block, index) => draw(block, surface, index)),
  );
}

function draw(block, surface, index) {
  const renderer = RENDERERS[block.type];
  if (!renderer) return unsupported(block);
  const node = renderer(block, surface, block.block_id ?? String(index));
  if (block.block_id) node.dataset.block = block.block_id;
  return node;
}

const RENDERERS = {
  header: (block, surface) =>
    h("h3", { class: "block block-header" }, textObject(block.text, surface.directory)),
  divider: () => h("hr", { class: "block block-divider" }),
  section,
  context: (block, surface) =>
    h(
      "div",
      { class: "block block-context" },
      (block.elements ?? []).map((item) => contextItem(item, surface)),
    ),
  actions: (block, surface) =>
    h(
      "div",
      { class: "block block-actions", role: "group", aria: { label: "Actions" } },
      (block.elements ?? []).map((item) => element(item, block, surface)),
    ),
  rich_text: (block, surface) => h("div", { class: "block" }, richText(block, surface.directory)),
  image: (block, surface) =>
    h(
      "figure",
      { class: "block block-image" },
      block.title && h("figcaption", {}, textObject(block.title, surface.directory)),
      image(block, "block-image__picture"),
    ),
  input: (block, surface, key) => (surface.form ? surface.form.field(block, key) : unsupported(block)),
  table: (block, surface) => h("div", { class: "block table-wrap" }, table(block, surface.directory)),
};

/** A block that this page doesn't draw still shows what text it has. */
function unsupported(block) {
  const text = typeof block.text === "string" ? `\n${block.text}` : "";
  return h("div", { class: "block unsupported" }, `(a block of type ${block.type})${text}`);
}

function section(block, surface, key) {
  const content = [];
  if (block.text) content.push(folded(block, surface, key));
  if (block.fields?.length) {
    content.push(
      h(
        "div",
        { class: "fields" },
        block.fields.map((field) =>
          h("div", { class: "fields__item" }, textObject(field, surface.directory)),
        ),
      ),
    );
  }
  return h(
    "div",
    { class: "block block-section" },
    h("div", { class: "block-section__content" }, content),
    block.accessory && h("div", { class: "accessory" }, element(block.accessory, block, surface)),
  );
}

function folded(block, surface, key) {
  const text = h("div", { class: "text" }, textObject(block.text, surface.directory));
  const source = String(block.text.text ?? "");
  const long = source.length > FOLD_CHARACTERS || source.split("\n").length > FOLD_LINES;
  if (block.expand === true || !long) return text;
  const toggle = h("button", { type: "button", class: "show-more" });
  const show = () => {
    const open = surface.expanded.has(key);
    text.classList.toggle("text--folded", !open);
    toggle.textContent = open ? "Show less" : "Show more";
    toggle.setAttribute("aria-expanded", String(open));
  };
  toggle.addEventListener("click", () => {
    if (!surface.expanded.delete(key)) surface.expanded.add(key);
    show();
  });
  show();
  return h("div", {}, text, toggle);
}

/** A table; its first row is the head. */
function table(block, directory) {
  const [head, ...rows] = (block.rows ?? []).map((row, index) =>
    h(
      "tr",
      {},
      row.map((cell, column) =>
        tableCell(cell, index === 0 ? "th" : "td", block.column_settings?.[column], directory),
      ),
    ),
  );
  return h("table", { class: "table" }, h("thead", {}, head), h("tbody", {}, rows));
}

function tableCell(cell, tag, settings, directory) {
  const align = ["center", "right"].includes(settings?.align) ? `align-${settings.align}` : null;
  return h(
    tag,
    { class: align },
    cell.type === "rich_text" ? richText(cell, directory) : String(cell.text ?? ""),
  );
}

function contextItem(item, surface) {
  if (item.type === "image") return image(item, "block-context__image");
  return h("span", { class: "block-context__text" }, textObject(item, surface.directory));
}
