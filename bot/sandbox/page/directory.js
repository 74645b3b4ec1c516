/** Names: who is who and what is where, as one viewer sees the workspace. */

import { h, icon } from "./dom.js";
import { address } from "./route.js";

/** How many avatar colours the style sheet has. */
const TINTS = 8;

export class Directory {
  /**
   * @param {object} state the answer of `/sandbox/api/state`
   * @param {Array} channels the viewer's channels and direct messages
   * @param {string} viewer a user id
   */
  constructor(state, channels, viewer) {
    this.viewer = viewer;
    this.botId = state.bot_user_id;
    this.botName = state.bot_name;
    this.users = new Map(state.users.map((user) => [user.id, user]));
    this.tints = new Map(state.users.map((user, index) => [user.id, index % TINTS]));
    this.groups = new Map(state.user_groups.map((group) => [group.id, group]));
    this.channels = new Map([...state.channels, ...channels].map((channel) => [channel.id, channel]));
  }

  user(id) {
    return this.users.get(id);
  }

  channel(id) {
    return this.channels.get(id);
  }

  isBot(id) {
    return id === this.botId;
  }

  nameOf(id) {
    return this.isBot(id) ? this.botName : (this.users.get(id)?.name ?? "");
  }

  groupName(id) {
    return this.groups.get(id)?.handle ?? "";
  }

  /** The people (not the bot), in the workspace's order. */
  people() {
    return [...this.users.values()];
  }

  /** "#name", or the bot's name in a direct message with it. */
  titleOf(channel) {
    return channel.is_im ? channel.name : `#${channel.name}`;
  }

  linkTo(channel) {
    return address({ user: this.viewer, channel });
  }
}

/** A square with initials, in a colour of the person's own; the bot gets the seal. `size`: `tiny`, `small`, `medium`. */
export function avatar(id, directory, size = "medium") {
  const attributes = {
    class: `avatar avatar--${size} ${directory.isBot(id) ? "avatar--bot" : `tint-${directory.tints.get(id) ?? 0}`}`,
    aria: { hidden: "true" },
  };
  if (directory.isBot(id)) return h("span", attributes, icon("seal", "avatar__icon"));
  const words = (directory.nameOf(id) || id).split(/[\s._-]+/).filter(Boolean);
  const initials = [words[0], words.length > 1 ? words.at(-1) : ""]
    .map((word) => [...(word ?? "")][0] ?? "")
    .join("");
  return h("span", attributes, initials.toUpperCase());
}
