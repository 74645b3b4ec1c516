/** Dialogs on the browser's own `<dialog>`: it keeps the focus inside and closes with Escape. */

import { h } from "./dom.js";
import { textObject } from "./mrkdwn.js";

/**
 * Asks what a Block Kit confirmation object says (`title`, `text`, `confirm`, `deny`, `style`).
 * Source: docs.slack.dev, "Confirmation dialog object". Returns a promise of true (confirmed) or false.
 */
export function askConfirm(spec, directory) {
  const danger = spec.style === "danger";
  const ok = h(
    "button",
    {
      type: "button",
      class: `button ${danger ? "button--danger-solid" : "button--primary"}`,
      testid: "confirm-ok",
    },
    spec.confirm ? textObject(spec.confirm, directory) : "Yes",
  );
  const cancel = h(
    "button",
    { type: "button", class: "button", testid: "confirm-cancel" },
    spec.deny ? textObject(spec.deny, directory) : "Cancel",
  );
  const dialog = h(
    "dialog",
    {
      class: "dialog dialog--confirm",
      role: "alertdialog",
      testid: "confirm",
      aria: { labelledby: "confirm-title", describedby: "confirm-text" },
    },
    h("h2", { class: "dialog__title", id: "confirm-title" }, textObject(spec.title, directory)),
    h("div", { class: "dialog__text", id: "confirm-text" }, textObject(spec.text, directory)),
    h("div", { class: "dialog__foot" }, cancel, ok),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    ok.addEventListener("click", () => dialog.close("confirmed"));
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "confirmed");
    });
    dialog.showModal();
    ok.focus();
  });
}

/** A confirmation in plain words, for the page's own buttons. */
export function askPlainly(title, text, confirm, directory) {
  const plain = (words) => ({ type: "plain_text", text: words, emoji: false });
  return askConfirm(
    {
      title: plain(title),
      text: plain(text),
      confirm: plain(confirm),
      deny: plain("Cancel"),
      style: "danger",
    },
    directory,
  );
}
