/** Which conversations hold something that a person hasn't seen, remembered in this browser. */

const KEY = "local-workspace.read";

export class Unread {
  constructor() {
    this.seen = load();
  }

  /** Marks all up to `ts` as seen by `user`. */
  mark(user, channel, ts) {
    const key = `${user}/${channel}`;
    if (!ts || this.seen[key] >= ts) return;
    this.seen[key] = ts;
    save(this.seen);
  }

  /** Whether the newest message, `ts`, is one that `user` hasn't seen. Never looked at counts as unseen. */
  has(user, channel, ts) {
    return Boolean(ts) && !(this.seen[`${user}/${channel}`] >= ts);
  }
}

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // no storage in this browser: it is remembered until the page is left
  }
}

function save(seen) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(seen));
  } catch {
    return; // as above
  }
}
