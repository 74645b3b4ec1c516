/** A scrolling list of messages: day dividers, grouping, and only what changed is drawn again. */

import { h, icon } from "./dom.js";
import { continues, messageNode } from "./message.js";
import { dateOf, dayLabel, sameDay } from "./time.js";

const NEAR_BOTTOM_PX = 80;

export class Timeline {
  /** `scroller` is the element that scrolls; `label` names the list for screen readers. */
  constructor(scroller, label) {
    this.scroller = scroller;
    this.list = h("div", {
      class: "timeline",
      role: "log",
      aria: { label, live: "polite", relevant: "additions" },
    });
    this.newer = h(
      "button",
      { type: "button", class: "newer", hidden: true, on: { click: () => this.toBottom(true) } },
      icon("down"),
      "New messages",
    );
    scroller.append(this.list, this.newer);
    this.stuck = true;
    scroller.addEventListener("scroll", () => {
      this.stuck = this.nearBottom();
      if (this.stuck) this.newer.hidden = true;
    });
    // A narrower column makes the list longer: who read the newest goes on reading it.
    const resized = new ResizeObserver(() => this.stuck && this.toBottom());
    resized.observe(scroller);
    resized.observe(this.list);
    this.rows = new Map();
    this.key = "";
    this.opened = new Map();
  }

  /**
   * @param {string} key what is listed; another key starts at the newest message
   * @param {Array} messages in the order of time
   * @param {object} view see `messageNode`; `replies` here is a function from a message to its replies;
   *   `dividerAfter`, `{ts, label}`, puts a line below one message
   * @param {Node|null} lead what stands above the first message
   */
  show(key, messages, view, lead = null) {
    const fresh = key !== this.key;
    if (fresh) this.rows.clear();
    const stay = fresh || this.stuck;
    const known = this.rows.size;
    this.key = key;
    const rows = this.rowsFor(messages, view);
    const focus = this.focusedControl();
    const nodes = rows.map((row) => this.node(row));
    const grew = rows.length > known && !fresh;
    this.rows = new Map(rows.map((row) => [row.key, row]));
    this.place(lead ? [lead, ...nodes] : nodes);
    if (focus && !this.list.contains(document.activeElement))
      this.list.querySelector(focus)?.focus({ preventScroll: true });
    if (stay) this.toBottom();
    else if (grew) this.newer.hidden = false;
  }

  rowsFor(messages, view) {
    const rows = [];
    let previous = null;
    for (const message of messages) {
      const date = dateOf(message.ts);
      const newDay = !previous || !sameDay(dateOf(previous.ts), date);
      if (newDay)
        rows.push({
          key: `day-${date.toDateString()}`,
          signature: dayLabel(date),
          build: () => divider(dayLabel(date)),
        });
      const replies = view.replies?.(message) ?? [];
      const compact = !newDay && continues(message, previous);
      const own = { ...view, compact, replies, expanded: (ts) => this.openedIn(ts) };
      rows.push({
        key: message.ts,
        signature: JSON.stringify([
          message,
          compact,
          replies.map((reply) => [reply.ts, reply.user]),
          view.version,
        ]),
        build: () => messageNode(message, own),
      });
      previous = { ...message, hasReplies: replies.length > 0 };
      const after = view.dividerAfter?.ts === message.ts ? view.dividerAfter.label : "";
      if (after) {
        rows.push({ key: "replies", signature: after, build: () => divider(after, "day day--plain") });
        previous = { ...previous, hasReplies: true };
      }
    }
    return rows;
  }

  node(row) {
    const before = this.rows.get(row.key);
    row.node = before?.signature === row.signature ? before.node : row.build();
    return row.node;
  }

  /** Puts the nodes in order, leaving those alone that already stand right (so that focus and scroll stay). */
  place(nodes) {
    const wanted = new Set(nodes);
    for (const child of [...this.list.children]) if (!wanted.has(child)) child.remove();
    nodes.forEach((node, index) => {
      if (this.list.children[index] !== node) this.list.insertBefore(node, this.list.children[index] ?? null);
    });
  }

  focusedControl() {
    const active = document.activeElement;
    const message = this.list.contains(active) ? active.closest(".message") : null;
    if (!message || !active.dataset.testid) return "";
    const within = active === message ? "" : ` [data-testid="${CSS.escape(active.dataset.testid)}"]`;
    return `[data-testid="${CSS.escape(message.dataset.testid)}"]${within}`;
  }

  openedIn(ts) {
    if (!this.opened.has(ts)) this.opened.set(ts, new Set());
    return this.opened.get(ts);
  }

  nearBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
  }

  toBottom(smooth = false) {
    this.newer.hidden = true;
    this.stuck = true;
    this.scroller.scrollTo({ top: this.scroller.scrollHeight, behavior: smooth ? "smooth" : "instant" });
  }
}

function divider(label, className = "day") {
  return h("div", { class: className, role: "separator", aria: { label } }, h("span", {}, label));
}
