/** A small pop-up menu below a button, by keyboard or mouse. */

import { h } from "./dom.js";

/**
 * Opens a menu at `anchor`. `items`: `{label, about, testid, choose}`; `label` is a string or nodes. The menu is
 * a popover next to its anchor (so that it also works inside an open dialog) and goes away when it closes.
 */
export function openMenu(anchor, items) {
  const menu = h("div", { class: "menu", role: "menu", popover: "auto", testid: "menu" });
  for (const item of items) {
    const entry = h(
      "button",
      { type: "button", class: "menu__item", role: "menuitem", tabindex: "-1", testid: item.testid },
      h("span", {}, item.label),
      item.about && h("span", { class: "menu__about" }, item.about),
    );
    entry.addEventListener("click", () => {
      menu.hidePopover();
      anchor.focus();
      item.choose();
    });
    menu.append(entry);
  }
  menu.addEventListener("keydown", (event) => step(menu, event));
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    anchor.setAttribute("aria-expanded", "false");
    menu.remove();
  });
  (anchor.closest("dialog") ?? document.body).append(menu);
  menu.showPopover();
  place(menu, anchor);
  anchor.setAttribute("aria-expanded", "true");
  menu.firstElementChild?.focus();
}

function place(menu, anchor) {
  const at = anchor.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  const below = at.bottom + 4 + size.height <= window.innerHeight;
  menu.style.left = `${Math.max(8, Math.min(at.left, window.innerWidth - size.width - 8))}px`;
  menu.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - size.height - 4)}px`;
}

function step(menu, event) {
  const entries = [...menu.children];
  const index = entries.indexOf(document.activeElement);
  const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (next === undefined) return;
  event.preventDefault();
  entries[(next + entries.length) % entries.length].focus();
}
