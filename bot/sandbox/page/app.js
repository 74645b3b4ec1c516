/**
 * The page of the local workspace. It reads the workspace through the control endpoints, draws it for one person at
 * one place, and reads it again whenever the server says that something changed.
 */

import { Actions, WIDE } from "./actions.js";
import { Refused } from "./api.js";
import { Channel } from "./channel.js";
import { Composer } from "./composer.js";
import { showHint } from "./hint.js";
import { Home } from "./home.js";
import { Live } from "./live.js";
import { Modals } from "./modal.js";
import { at, newestThread, readWorkspace } from "./model.js";
import { refreshDates } from "./references.js";
import { address, go, onPlaceChange, place } from "./route.js";
import { Sidebar } from "./sidebar.js";
import { Thread } from "./thread.js";
import { TryIt } from "./try_it.js";
import { Unread } from "./unread.js";

const REDRAW_DATES_MS = 10_000;

class App {
  constructor() {
    this.workspace = null;
    /** The person that the address named when the workspace was read; "" where it named none. */
    this.readFor = "";
    this.model = null;
    this.reading = null;
    /** Where a visit that named no place has landed: until the reader moves on, its first thread opens by itself. */
    this.landed = "";
    this.unread = new Unread();
    this.live = new Live(() => this.refresh());
    const actions = new Actions(this);
    this.actions = actions;
    this.sidebar = new Sidebar(actions);
    this.tryIt = new TryIt(actions);
    this.modals = new Modals(actions);
    this.channel = new Channel({
      composer: new Composer({ prefix: "", send: (text) => actions.say(text), known: () => actions.known() }),
      home: new Home(document.getElementById("home"), actions),
      actions,
    });
    this.thread = new Thread({
      composer: new Composer({
        prefix: "thread-",
        send: (text) => actions.reply(text),
        known: () => actions.known(),
      }),
      actions,
    });
  }

  run() {
    const drawer = document.body.classList;
    onPlaceChange(() => this.moved());
    document.addEventListener("keydown", (event) => this.pressed(event));
    document.addEventListener("visibilitychange", () => this.draw());
    document.getElementById("menu").addEventListener("click", () => drawer.toggle("with-sidebar"));
    document.getElementById("shade").addEventListener("click", () => drawer.remove("with-sidebar"));
    setInterval(() => refreshDates(document.body), REDRAW_DATES_MS);
    return this.refresh();
  }

  /** Draws another place of the same person at once, and another person's after reading. */
  moved() {
    if (location.hash !== this.landed) this.landed = "";
    this.draw();
    return this.refresh();
  }

  /** Reads the workspace and draws it; calls during a reading lead to one more. */
  refresh() {
    this.stale = true;
    this.reading ??= this.read().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  async read() {
    while (this.stale) {
      this.stale = false;
      try {
        const reader = place().user;
        this.workspace = await readWorkspace(reader);
        this.readFor = reader;
        unreachable("");
        this.live.answered();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        unreachable(error.message);
        this.live.poll(true);
        return;
      }
      this.draw();
    }
  }

  /** Draws what was read, unless another person was chosen since: that one's reading is under way. */
  draw() {
    const where = place();
    if (!this.workspace || where.user !== this.readFor) return;
    const model = at(this.workspace, where);
    const arriving = WIDE.matches && (!where.channel || location.hash === this.landed);
    if (arriving) model.thread ||= newestThread(model.messages);
    const viewer = model.directory.viewer;
    this.model = model;
    const here = { user: viewer, channel: model.current, thread: model.thread };
    if (arriving) this.landed = model.thread ? "" : address(here);
    if (viewer !== where.user || model.current !== where.channel || (arriving && model.thread)) {
      this.readFor = viewer;
      go(here, true);
    }
    const latest = (channel) => model.latest.get(channel.id);
    if (model.channel && document.visibilityState === "visible")
      this.unread.mark(viewer, model.current, latest(model.channel));
    this.sidebar.show(
      model,
      (channel) => channel.is_member && this.unread.has(viewer, channel.id, latest(channel)),
    );
    this.tryIt.show(model.state);
    showHint(document.getElementById("hint"), model.directory, model.state);
    this.channel.show(model);
    this.thread.show(model);
    this.modals.show(model.views, model.directory);
    this.live.follow(viewer);
  }

  pressed(event) {
    if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open], [popover]"))
      return;
    if (document.body.classList.contains("with-sidebar")) document.body.classList.remove("with-sidebar");
    else if (this.model?.thread) this.actions.openThread("");
  }
}

function unreachable(text) {
  document.getElementById("unreachable").textContent = text;
}

new App().run();
