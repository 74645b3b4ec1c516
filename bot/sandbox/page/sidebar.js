/** The left side: who one is, the conversations, the connection of the bot. */

import { avatar } from "./directory.js";
import { fill, h, icon, renew } from "./dom.js";
import { isConnected } from "./connection.js";
import { roleOf } from "./roles.js";
import { HOME } from "./route.js";

export class Sidebar {
  /** `actions`: `switchUser(id)`, `open(channel)`. */
  constructor(actions) {
    this.actions = actions;
    this.drawn = "";
  }

  /** `unread(channel)` says whether there is something new. */
  show(model, unread) {
    const { channels, current, directory, state } = model;
    const marks = channels.map(unread);
    const signature = JSON.stringify([
      model.version,
      current,
      channels,
      marks,
      state.connections,
      state.mode,
      state.team,
    ]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    const focused = document.activeElement?.dataset?.testid;
    const entries = (direct) =>
      channels
        .filter(({ is_im }) => is_im === direct)
        .map((channel) => this.channel(channel, model, unread(channel)));
    renew(
      document.getElementById("people"),
      directory.people().map((user) => this.person(user, directory)),
    );
    renew(document.getElementById("channels"), entries(false));
    renew(document.getElementById("direct"), entries(true), this.home(model));
    fill(document.getElementById("team"), state.team.name);
    connection(document.getElementById("connection"), state);
    if (focused)
      document
        .querySelector(`#sidebar [data-testid="${CSS.escape(focused)}"]`)
        ?.focus({ preventScroll: true });
  }

  person(user, directory) {
    const { badge, about } = roleOf(user);
    const mine = user.id === directory.viewer;
    return h(
      "button",
      {
        type: "button",
        class: `person${user.deleted ? " person--left" : ""}`,
        testid: `user-switch-${user.id}`,
        title: `${user.name}: ${about}`,
        aria: { pressed: String(mine) },
        on: { click: () => this.actions.switchUser(user.id) },
      },
      avatar(user.id, directory, "small"),
      h("span", { class: "person__name" }, user.name),
      badge && h("span", { class: `badge badge--${user.role}` }, badge),
    );
  }

  channel(channel, { current, directory }, unread) {
    const direct = channel.is_im;
    const title = direct ? `Direct message with ${channel.name}` : channel.purpose || `#${channel.name}`;
    const mark = direct
      ? avatar(directory.botId, directory, "tiny")
      : icon(channel.is_private ? "lock" : "hash", "icon icon--small");
    return this.entry({ id: channel.id, current, unread, title }, mark, channel.name);
  }

  home({ current, directory }) {
    const entry = { id: HOME, current, unread: false, title: `${directory.botName}'s Home tab` };
    return this.entry(entry, icon("home", "icon icon--small"), `${directory.botName} Home`);
  }

  entry({ id, current, unread, title }, mark, name) {
    return h(
      "button",
      {
        type: "button",
        class: `entry${unread ? " entry--unread" : ""}`,
        testid: `channel-${id}`,
        title,
        aria: { current: id === current ? "page" : "false" },
        on: { click: () => this.actions.open(id) },
      },
      h("span", { class: "entry__mark" }, mark),
      h("span", { class: "entry__name" }, name),
      unread && h("span", { class: "entry__dot", role: "img", aria: { label: "unread" } }),
    );
  }
}

function connection(node, state) {
  node.className = `connection connection--${isConnected(state) ? "on" : "off"}`;
  node.dataset.connections = String(state.connections);
  const words = state.mode === "http" ? "Bot connected over HTTP" : `Bot connected ×${state.connections}`;
  fill(node, h("span", { class: "connection__dot" }), isConnected(state) ? words : "Bot offline");
}
