/** The right side: one thread with its replies and its own box to write in. */

import { threadOf } from "./conversation.js";
import { fill, h } from "./dom.js";
import { Timeline } from "./timeline.js";

const byId = (id) => document.getElementById(id);

export class Thread {
  /** `composer` stands below; `actions`: see `actions.js`. */
  constructor({ composer, actions }) {
    this.actions = actions;
    this.composer = composer;
    this.timeline = new Timeline(byId("replies"), "Thread");
    byId("thread-composer").append(composer.node);
    byId("thread-close").addEventListener("click", () => actions.openThread(""));
  }

  /** `model`: see `at` in `model.js`. */
  show(model) {
    const open = Boolean(model.thread && model.channel);
    byId("thread").hidden = !open;
    document.body.classList.toggle("with-thread", open);
    if (!open) return;
    const { parent, replies } = threadOf(model.messages, model.thread);
    fill(byId("thread-place"), model.directory.titleOf(model.channel));
    const listed = parent ? [parent, ...replies] : replies;
    const lead = parent
      ? null
      : h("p", { class: "empty" }, "The message that this thread began with isn’t there.");
    const view = {
      directory: model.directory,
      version: model.version,
      interact: (message, use) => this.actions.useInMessage(message, use),
      // The parent stands in the channel too: there it has the plain hook.
      testid: (message) => (message.ts === model.thread ? `parent-${message.ts}` : `message-${message.ts}`),
      dividerAfter: parent
        ? { ts: parent.ts, label: `${replies.length} ${replies.length === 1 ? "reply" : "replies"}` }
        : null,
    };
    this.timeline.show(`${model.directory.viewer}/${model.thread}`, listed, view, lead);
    this.composer.show(`${model.channel.id}/${model.thread}`, {
      placeholder: `Reply as ${model.directory.nameOf(model.directory.viewer)}`,
    });
  }
}
