/**
 * Block Kit's input elements as native form controls.
 *
 * `control(element, options)` returns `{node, state, problem, focus}`:
 * - `node`: what to show, with `data-testid="input-{action_id}"` on the control itself;
 * - `state()`: its entry in `view.state.values`, `{type, value | selected_option | …}`;
 * - `problem(optional)`: what is wrong with the entry, in words, or "".
 * Source: docs.slack.dev, "Block elements" and "View state values".
 */

import { h } from "./dom.js";
import { plainString, textObject } from "./mrkdwn.js";

const REQUIRED = "Please complete this required field.";

/**
 * @param {object} element the Block Kit element
 * @param {object} options `directory`; `id` and `described` for labels; `testid`; `state`, an earlier entry to
 *   restore; `changed()`, called when the reader changed it
 */
export function control(element, options) {
  const build = BUILDERS[element.type];
  if (!build) return null;
  return build(element, { changed: () => {}, testid: `input-${element.action_id}`, ...options });
}

const BUILDERS = {
  plain_text_input: (element, options) =>
    textInput(element, options, element.multiline ? "textarea" : "text"),
  email_text_input: (element, options) => textInput(element, options, "email"),
  url_text_input: (element, options) => textInput(element, options, "url"),
  number_input: numberInput,
  static_select: staticSelect,
  users_select: usersSelect,
  checkboxes: (element, options) => choices(element, options, "checkbox"),
  multi_static_select: (element, options) => choices(element, options, "checkbox"),
  radio_buttons: (element, options) => choices(element, options, "radio"),
  datepicker: (element, options) => moment(element, options, "date", "selected_date", element.initial_date),
  timepicker: (element, options) => moment(element, options, "time", "selected_time", element.initial_time),
};

function textInput(element, options, kind) {
  const box = kind === "textarea" ? h("textarea", { rows: 4 }) : h("input", { type: kind });
  attach(box, element, options, "field");
  box.value = options.state?.value ?? element.initial_value ?? "";
  const counter = element.max_length ? h("span", { class: "counter", aria: { hidden: "true" } }) : null;
  const count = () => {
    if (!counter) return;
    const left = element.max_length - box.value.length;
    counter.textContent = left <= Math.max(20, element.max_length / 5) ? String(left) : "";
    counter.classList.toggle("counter--over", left < 0);
  };
  box.addEventListener("input", count);
  box.addEventListener("change", () => options.changed());
  count();
  return {
    node: counter ? h("div", { class: "field-wrap" }, box, counter) : box,
    state: () => ({ type: element.type, value: box.value === "" ? null : box.value }),
    problem: (optional) => {
      const length = box.value.trim() ? box.value.length : 0;
      if (!length) return optional ? "" : REQUIRED;
      if (element.min_length && length < element.min_length)
        return `Write at least ${characters(element.min_length)}.`;
      if (element.max_length && length > element.max_length)
        return `Write at most ${characters(element.max_length)}.`;
      return box.checkValidity()
        ? ""
        : kind === "email"
          ? "Enter an e-mail address."
          : "Enter a whole address (https://…).";
    },
    focus: () => box.focus(),
  };
}

function numberInput(element, options) {
  const step = element.is_decimal_allowed ? "any" : "1";
  const box = h("input", { type: "number", step, min: element.min_value, max: element.max_value });
  attach(box, element, options, "field");
  box.value = options.state?.value ?? element.initial_value ?? "";
  box.addEventListener("change", () => options.changed());
  return {
    node: box,
    state: () => ({ type: element.type, value: box.value === "" ? null : box.value }),
    problem: (optional) => {
      if (box.value === "" && !box.validity.badInput) return optional ? "" : REQUIRED;
      if (box.checkValidity()) return "";
      const range = [
        element.min_value && `at least ${element.min_value}`,
        element.max_value && `at most ${element.max_value}`,
      ];
      return (
        `Enter a ${element.is_decimal_allowed ? "" : "whole "}number ${range.filter(Boolean).join(" and ")}`.trim() +
        "."
      );
    },
    focus: () => box.focus(),
  };
}

function staticSelect(element, options) {
  const groups = element.option_groups ?? [{ options: element.options ?? [] }];
  const all = groups.flatMap((group) => group.options);
  const chosen = (options.state?.selected_option ?? element.initial_option)?.value;
  let index = -1;
  const entry = (option) => {
    index += 1;
    return h("option", { value: index, selected: option.value === chosen }, plainString(option.text));
  };
  const box = select(element, options, [
    groups.map((group) =>
      group.label
        ? h("optgroup", { label: plainString(group.label) }, group.options.map(entry))
        : group.options.map(entry),
    ),
  ]);
  const option = () => (box.value === "" ? null : all[Number(box.value)]);
  return selection(
    box,
    () => ({ type: element.type, selected_option: option() }),
    () => !option(),
  );
}

function usersSelect(element, options) {
  const chosen = options.state?.selected_user ?? element.initial_user;
  const people = options.directory.people();
  const box = select(
    element,
    options,
    people.map((user) => h("option", { value: user.id, selected: user.id === chosen }, user.name)),
  );
  return selection(
    box,
    () => ({ type: element.type, selected_user: box.value || null }),
    () => !box.value,
  );
}

function select(element, options, entries) {
  const placeholder = element.placeholder ? plainString(element.placeholder) : "Choose…";
  const box = attach(h("select"), element, options, "field field--select");
  box.append(h("option", { value: "" }, placeholder));
  box.append(...entries.flat(Infinity));
  box.addEventListener("change", () => options.changed());
  return box;
}

function selection(box, state, empty) {
  return {
    node: box,
    state,
    problem: (optional) => (empty() && !optional ? REQUIRED : ""),
    focus: () => box.focus(),
  };
}

function choices(element, options, kind) {
  const single = kind === "radio";
  const restored =
    options.state && (single ? [options.state.selected_option] : options.state.selected_options);
  const initial = restored ?? (single ? [element.initial_option] : element.initial_options) ?? [];
  const chosen = new Set(initial.filter(Boolean).map((option) => option.value));
  const name = `${options.id}-choice`;
  const boxes = (element.options ?? []).map((option) => {
    const box = h("input", { type: kind, name, value: option.value, checked: chosen.has(option.value) });
    box.addEventListener("change", () => options.changed());
    return { box, option };
  });
  const rows = boxes.map(({ box, option }) =>
    h(
      "label",
      { class: "choice" },
      box,
      h(
        "span",
        {},
        textObject(option.text, options.directory),
        option.description &&
          h("span", { class: "choice__about" }, textObject(option.description, options.directory)),
      ),
    ),
  );
  const node = h(
    "div",
    { class: "choices", id: options.id, role: single ? "radiogroup" : "group", testid: options.testid },
    rows,
  );
  describe(node, options);
  const selected = () => boxes.filter(({ box }) => box.checked).map(({ option }) => option);
  const state = () =>
    single
      ? { type: element.type, selected_option: selected()[0] ?? null }
      : { type: element.type, selected_options: selected() };
  return {
    node,
    state,
    problem: (optional) => (selected().length || optional ? "" : REQUIRED),
    focus: () => boxes[0]?.box.focus(),
  };
}

function moment(element, options, kind, key, initial) {
  const box = attach(h("input", { type: kind }), element, options, "field");
  box.value = options.state?.[key] ?? initial ?? "";
  box.addEventListener("change", () => options.changed());
  return selection(
    box,
    () => ({ type: element.type, [key]: box.value || null }),
    () => !box.value,
  );
}

function attach(box, element, options, className) {
  box.id = options.id;
  box.className = className;
  box.dataset.testid = options.testid;
  if (element.placeholder && "placeholder" in box) box.placeholder = plainString(element.placeholder);
  if (element.focus_on_load) box.autofocus = true;
  return describe(box, options);
}

function describe(box, options) {
  if (options.labelled) box.setAttribute("aria-labelledby", options.labelled);
  if (options.label) box.setAttribute("aria-label", options.label);
  if (options.described) box.setAttribute("aria-describedby", options.described);
  return box;
}

function characters(count) {
  return `${count} character${count === 1 ? "" : "s"}`;
}
