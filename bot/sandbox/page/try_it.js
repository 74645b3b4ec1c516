/** The "Try it" panel: scenarios to start with one click, and the server's switch. */

import { isConnected } from "./connection.js";
import { h, icon, renew } from "./dom.js";

const ICONS = [
  [/refund/i, "refund"],
  [/rollout|deploy|change/i, "rocket"],
  [/expir|nobody/i, "hourglass"],
];

export class TryIt {
  /** `actions`: `play(scenario)`, `server(action)`, `reset()`: promises. */
  constructor(actions) {
    this.actions = actions;
    this.drawn = "";
  }

  /** `state`: the answer of `/sandbox/api/state`. */
  show(state) {
    const signature = JSON.stringify([
      state.scenarios,
      state.server_controls,
      state.server,
      isConnected(state),
    ]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    const controls = state.server_controls;
    const runs = state.server.state === "running";
    renew(
      document.getElementById("scenarios"),
      state.scenarios.map((scenario) => this.scenario(scenario)),
    );
    const kill = () =>
      this.button(
        "server-kill",
        "power",
        "Stop the server hard",
        "Kills the bot's process at once (kill -9)",
        () => this.actions.server("kill"),
        !runs,
      );
    const start = () =>
      this.button(
        "server-start",
        "play",
        "Start the server again",
        "Everything that waited goes on",
        () => this.actions.server("start"),
        runs && isConnected(state),
      );
    renew(
      document.getElementById("server"),
      controls ? [kill(), start()] : [],
      this.button(
        "reset",
        "reset",
        "Clear the workspace",
        "Removes all messages of this local workspace",
        () => this.actions.reset(),
        false,
      ),
    );
  }

  scenario(scenario) {
    const name = ICONS.find(([pattern]) => pattern.test(`${scenario.id} ${scenario.label}`))?.[1] ?? "spark";
    const about = scenario.text;
    return this.button(
      `scenario-${scenario.id}`,
      name,
      scenario.label,
      about,
      () => this.actions.play(scenario),
      false,
    );
  }

  button(testid, symbol, label, title, press, disabled) {
    const node = h(
      "button",
      { type: "button", class: "try", testid, title, disabled },
      icon(symbol, "icon icon--small"),
      h("span", {}, label),
    );
    node.addEventListener("click", async () => {
      if (node.getAttribute("aria-busy") === "true") return;
      node.setAttribute("aria-busy", "true");
      try {
        await press();
      } finally {
        node.setAttribute("aria-busy", "false");
      }
    });
    return node;
  }
}
