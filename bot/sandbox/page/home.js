/** The app's Home tab, as the app published it for the viewer. */

import { blocks } from "./blocks.js";
import { fill, h, icon } from "./dom.js";

export class Home {
  /** `actions.useInView(view, use)` is told what is pressed. */
  constructor(host, actions) {
    this.host = host;
    this.actions = actions;
    this.opened = new Set();
    this.drawn = "";
  }

  /** Shows `view`, null where the app has published none. */
  show(view, directory, version) {
    const signature = JSON.stringify([view, directory.viewer, version]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    if (!view) {
      fill(this.host, empty(directory));
      return;
    }
    const surface = {
      directory,
      expanded: this.opened,
      interact: (use) => this.actions.useInView(view, use),
    };
    fill(this.host, h("div", { class: "home" }, blocks(view.blocks ?? [], surface)));
  }
}

function empty(directory) {
  return h(
    "div",
    { class: "empty" },
    h("span", { class: "empty__mark" }, icon("home")),
    h("h3", {}, `${directory.botName} has published no Home yet`),
    h("p", {}, "It appears here as soon as the bot answers. If the bot is offline, start it again."),
  );
}
