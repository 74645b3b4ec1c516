/** What happens when an element of the app's is used: confirm, send, wait for the app's acknowledgement. */

import { api, Refused } from "./api.js";
import { askConfirm } from "./dialogs.js";
import { h, icon } from "./dom.js";
import { toast } from "./toast.js";

/**
 * Sends one interaction.
 *
 * @param {object} element the Block Kit element that was used
 * @param {HTMLElement} node its node: it shows that the app is being waited for, and a triangle where that failed
 * @param {object} action the body for `/sandbox/api/actions`
 * @param {object} directory names for the confirmation's text
 */
export async function interact(element, node, action, directory) {
  if (element.confirm && !(await askConfirm(element.confirm, directory))) return;
  await waiting(node, () => sent({ ...action, confirm: Boolean(element.confirm) }, directory));
}

/** The workspace asks to confirm where the element came to want it only just now. */
async function sent(action, directory) {
  try {
    await api.act(action);
  } catch (error) {
    const asked = error instanceof Refused && error.status === 409 && error.body.confirm;
    if (!asked || action.confirm) throw error;
    if (await askConfirm(asked, directory)) await api.act({ ...action, confirm: true });
  }
}

async function waiting(node, work) {
  node.setAttribute("aria-busy", "true");
  if (node.nextElementSibling?.classList.contains("failed")) node.nextElementSibling.remove();
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.message);
    node.after(triangle(error.message));
  } finally {
    node.setAttribute("aria-busy", "false");
  }
}

/** Slack's own sign that an app didn't answer: a triangle beside the element. */
function triangle(text) {
  return h(
    "span",
    { class: "failed", title: text, role: "img", testid: "failed", aria: { label: `Failed: ${text}` } },
    icon("alert"),
  );
}
