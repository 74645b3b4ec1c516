/** The inputs of one modal view: their fields, their values, and what is wrong with them. */

import { control } from "./controls.js";
import { h, icon } from "./dom.js";
import { textObject } from "./mrkdwn.js";

export class Form {
  /**
   * @param {string} viewId makes the fields' ids unique on the page
   * @param {object} directory names users in selects and labels
   * @param {object} kept `view.state.values` as the workspace has them
   * @param {object} uses `dispatch({element, block, state, node})` for inputs with `dispatch_action`, `keep(block,
   *   state)`, a promise, for the others
   */
  constructor(viewId, directory, kept, uses) {
    this.viewId = viewId;
    this.directory = directory;
    this.uses = uses;
    this.fields = new Map();
    this.kept = kept;
    this.keeping = Promise.resolve();
    this.expanded = new Set();
  }

  /** Starts over for an updated view, keeping what was typed into the fields that stay. */
  renew() {
    this.kept = this.values();
    this.fields.clear();
  }

  /** The node of one input block: label, control, hint, room for an error. */
  field(block, key) {
    const id = `${this.viewId}-${key}`;
    const spec = block.element;
    const entry = control(spec, {
      id,
      directory: this.directory,
      labelled: `${id}-label`,
      described: `${id}-hint ${id}-error`,
      state: this.kept[key]?.[spec.action_id],
      changed: () => this.changed(block, entry),
    });
    if (!entry) return h("div", { class: "block unsupported" }, `Unsupported element: ${spec.type}`);
    const error = h("p", { class: "input__error", id: `${id}-error`, role: "alert", testid: `error-${key}` });
    this.fields.set(key, { entry, error, optional: block.optional === true, actionId: spec.action_id });
    return h(
      "div",
      { class: "block input" },
      h(
        "label",
        { class: "input__label", id: `${id}-label`, for: id },
        textObject(block.label, this.directory),
        block.optional && h("span", { class: "input__optional" }, "optional"),
      ),
      entry.node,
      h(
        "p",
        { class: "input__hint", id: `${id}-hint` },
        block.hint && textObject(block.hint, this.directory),
      ),
      error,
    );
  }

  /** The workspace learns of every change, so that the app finds it in the next payload from this view. */
  changed(block, entry) {
    const state = entry.state();
    if (block.dispatch_action) this.uses.dispatch({ element: block.element, block, state, node: entry.node });
    else this.keeping = this.keeping.then(() => this.uses.keep(block, state));
  }

  /** Slack's `view.state.values`: `{block_id: {action_id: {type, …}}}`. */
  values() {
    const values = {};
    for (const [key, { entry, actionId }] of this.fields) values[key] = { [actionId]: entry.state() };
    return values;
  }

  /** Shows what the reader has to correct, and says whether the form may be sent. */
  check() {
    const errors = {};
    for (const [key, { entry, optional }] of this.fields) {
      const problem = entry.problem(optional);
      if (problem) errors[key] = problem;
    }
    this.show(errors);
    return Object.keys(errors).length === 0;
  }

  /** Shows `{block_id: text}` below the fields. Returns the texts whose block isn't on this form. */
  show(errors) {
    let first = null;
    for (const [key, { entry, error }] of this.fields) {
      const text = errors[key] ?? "";
      error.replaceChildren(...(text ? [icon("alert"), text] : []));
      error.parentElement.classList.toggle("input--wrong", Boolean(text));
      if (text && !first) first = entry;
    }
    first?.focus();
    return Object.keys(errors)
      .filter((key) => !this.fields.has(key))
      .map((key) => errors[key]);
  }
}
