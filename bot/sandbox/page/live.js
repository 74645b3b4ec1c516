/** Keeps the page current: the server tells when something changed; while it can't, the page asks each second. */

import { api } from "./api.js";

const POLL_MS = 1000;

/** Every kind of notice leads to the same: reading again. `message` is also what a notice without a kind is. */
const KINDS = ["hello", "resync", "message", "ephemeral", "view", "connection", "workspace", "server"];

export class Live {
  /** `changed()` is called for every change, and each second while the stream is down. */
  constructor(changed) {
    this.changed = changed;
    this.user = "";
    this.stream = null;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => this.turned());
  }

  /** Listens as `user`; again where the stream was refused. */
  follow(user) {
    if (document.hidden || (user === this.user && this.stream?.readyState !== EventSource.CLOSED)) return;
    this.user = user;
    this.connect();
  }

  /** Asks each second until the stream is open again. */
  poll(on) {
    if (on && !this.timer) this.timer = setInterval(() => this.changed(), POLL_MS);
    if (!on) {
      clearInterval(this.timer);
      this.timer = 0;
    }
  }

  /** The workspace answered: an open stream is enough from here on. */
  answered() {
    if (this.stream?.readyState === EventSource.OPEN) this.poll(false);
  }

  connect() {
    this.stream?.close();
    const stream = api.stream(this.user);
    this.stream = stream;
    for (const kind of KINDS) stream.addEventListener(kind, () => this.changed());
    stream.addEventListener("open", () => {
      this.poll(false);
      this.changed();
    });
    stream.addEventListener("error", () => {
      if (stream === this.stream) this.poll(true);
    });
  }

  /** A hidden tab gives its connection back: a browser keeps only six to one server. */
  turned() {
    if (document.hidden) {
      this.stream?.close();
      this.poll(false);
    } else if (this.user) {
      this.connect();
    }
  }
}
