/** The slim bar that tells a first-time visitor what to do, and who they are. */

import { fill, h, icon } from "./dom.js";
import { roleOf } from "./roles.js";

const KEY = "local-workspace.hint";

let hidden = wasHidden();

/** Draws the bar for the viewer, unless the reader has put it away. */
export function showHint(host, directory, state) {
  const viewer = directory.user(directory.viewer);
  host.hidden = hidden || !viewer;
  if (host.hidden) return;
  const { about } = roleOf(viewer);
  const reviewers = directory.people().filter((user) => user.role === "reviewer");
  const requester = directory.people().find((user) => user.role === "requester");
  const dismiss = h(
    "button",
    {
      type: "button",
      class: "button button--quiet",
      testid: "hint-close",
      aria: { label: "Hide this hint" },
    },
    icon("close"),
  );
  dismiss.addEventListener("click", () => {
    hidden = true;
    host.hidden = true;
    remember();
  });
  fill(
    host,
    h(
      "p",
      {},
      "You are ",
      h("strong", {}, viewer.name),
      `, who ${about}. `,
      advice(viewer, requester, reviewers, directory, state),
    ),
    dismiss,
  );
}

function advice(viewer, requester, reviewers, directory, state) {
  const button = state.scenarios.length ? ", or press a button under “Try it”" : "";
  if (viewer.role === "requester") {
    const who = reviewers.length
      ? [" Switch to ", h("strong", {}, reviewers[0].name), " on the left to decide."]
      : "";
    return [
      "Write ",
      h("code", { class: "code" }, `@${directory.botName}`),
      ` and what you want${button}.`,
      who,
    ];
  }
  if (viewer.role === "reviewer")
    return "Use the buttons on a card to approve it, reject it, or ask for changes.";
  return requester
    ? [
        "Press a card's buttons to see the refusal, or switch back to ",
        h("strong", {}, requester.name),
        " on the left.",
      ]
    : "";
}

function wasHidden() {
  try {
    return localStorage.getItem(KEY) === "hidden";
  } catch {
    return false; // no storage in this browser: the hint shows again next time
  }
}

function remember() {
  try {
    localStorage.setItem(KEY, "hidden");
  } catch {
    return; // as above
  }
}
