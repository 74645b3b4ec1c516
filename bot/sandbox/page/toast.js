/** Short notices at the foot of the page. */

import { h, icon } from "./dom.js";

const SHOWN_MS = 9000;

/** Shows `text`; `kind` is `error` (with a warning triangle) or `info`. The same text isn't shown twice at once. */
export function toast(text, kind = "error") {
  const host = document.getElementById("toasts");
  for (const old of host.children) if (old.dataset.text === text) old.remove();
  const close = h(
    "button",
    { type: "button", class: "toast__close", aria: { label: "Dismiss" } },
    icon("close"),
  );
  const note = h(
    "div",
    {
      class: `toast toast--${kind}`,
      role: kind === "error" ? "alert" : "status",
      testid: "toast",
      data: { text },
    },
    icon(kind === "error" ? "alert" : "check"),
    h("span", { class: "toast__text" }, text),
    close,
  );
  close.addEventListener("click", () => note.remove());
  host.append(note);
  setTimeout(() => note.remove(), SHOWN_MS);
}
