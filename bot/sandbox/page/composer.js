/** The box to write in: Enter sends, Shift+Enter breaks the line, "@" and "/" offer completions. */

import { suggest } from "./completion.js";
import { avatar } from "./directory.js";
import { h, icon } from "./dom.js";

let serial = 0;

export class Composer {
  /**
   * @param {object} options `prefix` for the test hooks ("" or "thread-"); `send(text)`, a promise of whether it
   *   went well; `known()`, see `suggest`
   */
  constructor({ prefix, send, known }) {
    this.options = { send, known };
    this.drafts = new Map();
    this.key = "";
    this.entries = [];
    this.chosen = 0;
    const listId = `completions-${(serial += 1)}`;
    this.box = h("textarea", {
      class: "composer__box",
      rows: 1,
      testid: `${prefix}composer`,
      aria: { label: "Message", autocomplete: "list", controls: listId, haspopup: "listbox" },
    });
    this.button = h(
      "button",
      {
        type: "submit",
        class: "button button--primary composer__send",
        testid: `${prefix}send`,
        title: "Send (Enter)",
        aria: { label: "Send" },
      },
      icon("send"),
    );
    this.list = h("ul", {
      class: "completions",
      id: listId,
      role: "listbox",
      testid: `${prefix}completions`,
      hidden: true,
      aria: { label: "Suggestions" },
    });
    this.hint = h("p", { class: "composer__hint" });
    this.node = h(
      "form",
      { class: "composer", on: { submit: (event) => this.submit(event) } },
      this.list,
      h("div", { class: "composer__frame" }, this.box, this.button),
      this.hint,
    );
    this.box.addEventListener("input", () => this.typed());
    this.box.addEventListener("keydown", (event) => this.pressed(event));
    this.box.addEventListener("blur", () => this.offer([]));
    this.button.disabled = true;
  }

  /** Turns to another conversation, keeping the draft of the one before. */
  show(key, { placeholder, hint = [] }) {
    if (key !== this.key) {
      this.drafts.set(this.key, this.box.value);
      this.key = key;
      this.write(this.drafts.get(key) ?? "");
      this.offer([]);
    }
    this.box.placeholder = placeholder;
    this.box.setAttribute("aria-label", placeholder);
    this.hint.replaceChildren(...hint);
  }

  focus() {
    this.box.focus();
  }

  /** Sends what stands in the box, which is free again at once; what was refused comes back. */
  async submit(event) {
    event.preventDefault();
    const text = this.box.value.trim();
    if (!text) return;
    const { key } = this;
    this.write("");
    this.button.setAttribute("aria-busy", "true");
    const sent = await this.options.send(text);
    this.button.setAttribute("aria-busy", "false");
    if (sent) return;
    if (key !== this.key) this.drafts.set(key, text);
    else if (this.box.value === "") this.write(text);
  }

  write(text) {
    this.box.value = text;
    this.typed();
  }

  typed() {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
    this.button.disabled = this.box.value.trim() === "";
    const { start, entries } = suggest(
      this.box.value.slice(0, this.box.selectionStart),
      this.options.known(),
    );
    this.start = start;
    this.offer(document.activeElement === this.box ? entries : []);
  }

  offer(entries) {
    this.entries = entries;
    this.chosen = 0;
    this.list.hidden = entries.length === 0;
    this.list.replaceChildren(...entries.map((entry, index) => this.entry(entry, index)));
    this.mark();
  }

  entry(entry, index) {
    const item = h(
      "li",
      {
        class: "completions__item",
        role: "option",
        id: `${this.list.id}-${index}`,
        testid: `complete-${entry.label}`,
      },
      entry.user ? avatar(entry.user, this.options.known().directory, "tiny") : null,
      h("span", { class: "completions__name" }, entry.label),
      h("span", { class: "completions__about" }, entry.about),
    );
    item.addEventListener("mousedown", (event) => {
      event.preventDefault();
      this.complete(index);
    });
    return item;
  }

  mark() {
    [...this.list.children].forEach((item, index) =>
      item.setAttribute("aria-selected", String(index === this.chosen)),
    );
    const active = this.list.children[this.chosen];
    if (active) this.box.setAttribute("aria-activedescendant", active.id);
    else this.box.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  complete(index) {
    const end = this.box.selectionStart;
    this.box.setRangeText(this.entries[index].insert, this.start, end, "end");
    this.typed();
  }

  pressed(event) {
    if (event.isComposing) return;
    const open = this.entries.length > 0;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      this.chosen =
        (this.chosen + (event.key === "ArrowDown" ? 1 : this.entries.length - 1)) % this.entries.length;
      this.mark();
    } else if (open && this.completes(event)) {
      event.preventDefault();
      this.complete(this.chosen);
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.offer([]);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.node.requestSubmit();
    }
  }

  /** Tab completes; Enter too, unless the word is already whole (then Enter sends). */
  completes(event) {
    if (event.key === "Tab" && !event.shiftKey) return true;
    if (event.key !== "Enter" || event.shiftKey) return false;
    const word = this.box.value.slice(this.start, this.box.selectionStart).toLowerCase();
    return word !== "" && this.entries[this.chosen].insert.trim().toLowerCase() !== word;
  }
}
