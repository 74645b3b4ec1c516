/** The middle: one conversation with its messages and the box to write in, or the app's Home. */

import { topLevel, repliesByParent } from "./conversation.js";
import { avatar } from "./directory.js";
import { isConnected } from "./connection.js";
import { fill, h, icon } from "./dom.js";
import { HOME } from "./route.js";
import { Timeline } from "./timeline.js";

const byId = (id) => document.getElementById(id);

export class Channel {
  /** `composer`, `home`: what stands below and instead; `actions`: see `actions.js`. */
  constructor({ composer, home, actions }) {
    this.composer = composer;
    this.home = home;
    this.actions = actions;
    this.timeline = new Timeline(byId("messages"), "Messages");
    byId("composer").append(composer.node);
    this.headed = "";
  }

  /** `model`: see `at` in `model.js`. */
  show(model) {
    const atHome = model.current === HOME;
    byId("messages").hidden = atHome || !model.channel;
    byId("composer").hidden = atHome || !model.channel;
    byId("home").hidden = !atHome;
    this.showHead(model, atHome);
    this.showOffline(model.state);
    if (atHome) {
      this.home.show(model.home, model.directory, model.version);
      return;
    }
    if (!model.channel) return;
    const replies = repliesByParent(model.messages);
    const view = {
      directory: model.directory,
      version: model.version,
      replies: (message) => replies.get(message.ts) ?? [],
      openThread: (ts) => this.actions.openThread(ts),
      interact: (message, use) => this.actions.useInMessage(message, use),
      testid: (message) => `${message.is_broadcast ? "broadcast" : "message"}-${message.ts}`,
    };
    const shown = topLevel(model.messages);
    const lead = shown.length ? null : beginning(model);
    this.timeline.show(`${model.directory.viewer}/${model.channel.id}`, shown, view, lead);
    this.composer.show(model.channel.id, {
      placeholder: `Message ${model.directory.titleOf(model.channel)} as ${model.directory.nameOf(model.directory.viewer)}`,
      hint: [
        h("kbd", {}, "@"),
        " mention   ",
        h("kbd", {}, "/"),
        " command   ",
        h("kbd", {}, "Enter"),
        " send   ",
        h("kbd", {}, "Shift"),
        "+",
        h("kbd", {}, "Enter"),
        " new line",
      ],
    });
  }

  showHead(model, atHome) {
    const title = atHome
      ? `${model.directory.botName} Home`
      : model.channel
        ? model.directory.titleOf(model.channel)
        : "No conversation";
    const viewer = model.directory.nameOf(model.directory.viewer);
    document.title = `${title} · Local workspace`;
    const about = atHome
      ? `What ${model.directory.botName} shows to ${viewer}`
      : (model.channel?.purpose ?? "");
    const signature = JSON.stringify([title, about, model.channel, viewer]);
    if (signature === this.headed) return;
    this.headed = signature;
    const members = model.channel?.members;
    fill(
      byId("place"),
      h("h1", { class: "place__title", testid: "place" }, title),
      model.channel && !model.channel.is_member && h("span", { class: "tag" }, `${viewer} isn’t a member`),
      model.channel?.is_archived && h("span", { class: "tag" }, "archived"),
      about && h("p", { class: "place__about" }, about),
      members && !model.channel.is_im ? faces(members, model.directory) : null,
    );
  }

  showOffline(state) {
    const offline = !isConnected(state);
    const host = byId("offline");
    if (host.hidden === !offline && host.childElementCount) return;
    host.hidden = !offline;
    if (!offline) return host.replaceChildren();
    fill(
      host,
      icon("alert"),
      h("span", {}, "The bot is offline: mentions and clicks aren’t answered until it connects again."),
      state.server_controls &&
        h(
          "button",
          {
            type: "button",
            class: "button button--small",
            on: { click: () => this.actions.server("start") },
          },
          "Start the server",
        ),
    );
    return undefined;
  }
}

function faces(members, directory) {
  const names = members.map((member) => directory.nameOf(member) || member).join(", ");
  return h(
    "div",
    { class: "place__faces", title: names, role: "img", aria: { label: `Members: ${names}` } },
    members.slice(0, 5).map((member) => avatar(member, directory, "tiny")),
    h("span", {}, String(members.length)),
  );
}

function beginning(model) {
  const direct = model.channel.is_im;
  return h(
    "div",
    { class: "empty" },
    h("span", { class: "empty__mark" }, icon(direct ? "bubble" : "hash")),
    h("h3", {}, `This is the beginning of ${model.directory.titleOf(model.channel)}`),
    h(
      "p",
      {},
      direct
        ? `${model.directory.botName} writes here when something waits for you.`
        : `Mention @${model.directory.botName} to put an agent to work.`,
    ),
  );
}
