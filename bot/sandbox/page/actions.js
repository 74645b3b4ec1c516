/** Everything that the reader can do on the page, as calls of the control endpoints. */

import { api, Refused } from "./api.js";
import { askPlainly } from "./dialogs.js";
import { interact } from "./interactions.js";
import { go, HOME } from "./route.js";
import { toast } from "./toast.js";

/** From this width on, a thread stands beside its channel; only then does the page open one by itself. */
export const WIDE = window.matchMedia("(min-width: 1100px)");

export class Actions {
  /** `app`: its `model` is what is shown, `refresh()` reads it again, `thread` and `channel` have composers. */
  constructor(app) {
    this.app = app;
  }

  get viewer() {
    return this.app.model.directory.viewer;
  }

  /** What completions draw on. */
  known() {
    const { state, directory } = this.app.model;
    return { directory, agents: state.agents, commands: state.commands ?? [] };
  }

  switchUser(user) {
    const { current, thread } = this.app.model;
    closeDrawer();
    go({ user, channel: current, thread });
  }

  open(channel) {
    closeDrawer();
    go({ user: this.viewer, channel });
    if (channel === HOME) this.attempt(() => api.home(this.viewer));
    else this.app.channel.composer.focus();
  }

  openThread(thread) {
    go({ user: this.viewer, channel: this.app.model.current, thread });
    if (thread) this.app.thread.composer.focus();
    else this.app.channel.composer.focus();
  }

  /** Sends what was written in the channel: a message, or a slash command. Says whether it went well. */
  say(text) {
    const { channel, directory } = this.app.model;
    const where = { user: this.viewer, channel: channel.id };
    if (/^\/\w/.test(text)) return this.attempt(() => command(where, text));
    return this.attempt(async () => {
      const { ts, text: sent } = await api.say({ ...where, text });
      const mentioned = sent.includes(`<@${directory.botId}>`);
      if (mentioned && !channel.is_im && WIDE.matches) await this.showThread({ channel: channel.id, ts });
    });
  }

  /** Sends what was written in the open thread. */
  reply(text) {
    const { channel, thread } = this.app.model;
    return this.attempt(() => api.say({ user: this.viewer, channel: channel.id, text, thread_ts: thread }));
  }

  play(scenario) {
    return this.attempt(async () => {
      const started = await api.scenario(scenario.id);
      if (this.app.model.channels.some(({ id }) => id === started.channel)) await this.showThread(started);
    });
  }

  server(action) {
    return this.attempt(() => api.server(action));
  }

  async reset() {
    const text = "All its messages and open dialogs go. What the bot itself remembers stays.";
    const sure = await askPlainly("Clear this workspace?", text, "Clear", this.app.model.directory);
    return sure && this.attempt(() => api.reset());
  }

  async submitView(view, values) {
    try {
      return await api.submitView(view.id, { user: this.viewer, values });
    } finally {
      await this.app.refresh();
    }
  }

  /** Closes a modal; `all` closes those below it too. */
  async closeView(view, all) {
    try {
      return await api.closeView(view.id, { user: this.viewer, clear: all });
    } finally {
      await this.app.refresh();
    }
  }

  /** Keeps what was filled into an input, so that the app sees it with the next click in the view. */
  keepInput(view, block, state) {
    const action = {
      user: this.viewer,
      view_id: view.id,
      block_id: block.block_id,
      action_id: block.element.action_id,
    };
    return api.act({ ...action, confirm: true, value: chosen(state) });
  }

  useInMessage(message, use) {
    return this.use(use, { channel: this.app.model.channel.id, message_ts: message.ts });
  }

  useInView(view, use) {
    return this.use(use, { view_id: view.id });
  }

  async use({ element, block, state, node }, where) {
    const value = chosen(state);
    const action = { user: this.viewer, ...where, block_id: block.block_id, action_id: element.action_id };
    await interact(
      element,
      node,
      value === undefined ? action : { ...action, value },
      this.app.model.directory,
    );
    await this.app.refresh();
  }

  async showThread({ channel, ts }) {
    await this.app.refresh();
    go({ user: this.viewer, channel, thread: WIDE.matches ? ts : "" });
  }

  /** Does something that the reader asked for; a refusal is shown. Says whether it went well. */
  async attempt(work) {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      toast(error.message);
      return false;
    } finally {
      await this.app.refresh();
    }
  }
}

function command(where, text) {
  const [, name, rest] = /^(\S+)\s*([\s\S]*)$/.exec(text);
  return api.command({ ...where, command: name, text: rest });
}

/** The one value in an entry of `state.values`, undefined for a button. */
function chosen(state) {
  if (!state) return undefined;
  const { type, ...rest } = state;
  return Object.values(rest)[0];
}

function closeDrawer() {
  document.body.classList.remove("with-sidebar");
}
