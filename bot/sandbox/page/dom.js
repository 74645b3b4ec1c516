/**
 * Building DOM nodes. Text always goes in as text nodes: nothing in this page parses HTML, so no message
 * can bring markup along.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * One element. `properties`: `class`, `data` (an object for dataset), `on` (an object of listeners), `aria`
 * (an object without the prefix); a boolean sets or leaves out the attribute; null and undefined are skipped.
 * `children`: nodes, strings, arrays of them; null, undefined and false are skipped.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "on")
      for (const [event, listen] of Object.entries(value)) element.addEventListener(event, listen);
    else if (name === "aria")
      for (const [key, text] of Object.entries(value)) element.setAttribute(`aria-${key}`, text);
    else if (name === "testid") element.dataset.testid = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** Appends nodes and strings, flattening arrays and skipping what is empty. */
export function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child);
  }
  return parent;
}

/** Replaces all children of `parent`. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return append(parent, children);
}

/**
 * Gives `parent` these elements, known by their `testid`, and leaves those in place that look the same: a press that
 * has begun on one still counts.
 */
export function renew(parent, ...children) {
  const wanted = new Map(children.flat(Infinity).map((child) => [child.dataset.testid, child]));
  for (const old of [...parent.children]) {
    const anew = wanted.get(old.dataset.testid);
    if (!anew) old.remove();
    else if (old.isEqualNode(anew)) wanted.set(old.dataset.testid, old);
    else old.replaceWith(anew);
  }
  let at = parent.firstElementChild;
  for (const child of wanted.values()) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

/** A line icon out of this page's own set, hidden from screen readers. */
export function icon(name, className = "icon") {
  return drawing(
    ICONS[name].map((d) => ({ d })),
    className,
  );
}

/** A picture of paths on a 24-unit grid, hidden from screen readers. `paths`: attributes of each. */
export function drawing(paths, className) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  for (const attributes of paths) {
    const path = document.createElementNS(SVG, "path");
    for (const [name, value] of Object.entries(attributes)) path.setAttribute(name, value);
    svg.append(path);
  }
  return svg;
}

const ICONS = {
  alert: ["M12 4 21 19.5H3Z", "M12 10v4.5", "M12 17v.2"],
  back: ["M19 12H5.5", "M11 6l-6 6 6 6"],
  bubble: ["M4 5h16v11.5h-8.5L7 20.5v-4H4Z"],
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  down: ["M6.5 9.5l5.5 5.5 5.5-5.5"],
  eye: [
    "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z",
    "M12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5Z",
  ],
  file: ["M7 3.5h7l4 4v13H7Z", "M13.5 4v4.5H18"],
  hash: ["M9.5 4L7.5 20", "M16.5 4L14.5 20", "M4.5 9H20", "M4 15h15.5"],
  home: ["M4 11.5L12 4.5l8 7", "M6.5 10v9.5h11V10"],
  hourglass: ["M7 4h10", "M7 20h10", "M8 4c0 4 8 4.5 8 8s-8 4-8 8", "M16 4c0 4-8 4.5-8 8s8 4 8 8"],
  lock: ["M6.5 11h11v8.5h-11Z", "M8.5 11V8a3.5 3.5 0 0 1 7 0v3"],
  more: ["M6 12v.1", "M12 12v.1", "M18 12v.1"],
  play: ["M8 5.5v13l10.5-6.5Z"],
  power: ["M12 3.5v8", "M7 6.5a7.5 7.5 0 1 0 10 0"],
  refund: ["M9 6.5L4.5 11 9 15.5", "M4.5 11H15a4.5 4.5 0 0 1 0 9h-3"],
  reset: ["M5 12a7 7 0 1 0 2.2-5.100L5 9", "M5 4.5V9h4.5"],
  rocket: [
    "M5 19l4-4",
    "M9 15s-2.5-1-3-4l4-4c2-2 5-3 9.5-3 0 4.5-1 7.5-3 9.5l-4 4c-3-.5-3.5-2.5-3.5-2.5Z",
    "M15 9v.1",
  ],
  seal: ["M6 11l4.5 4.5L18.5 7", "M5.5 20h13"],
  send: ["M4.5 5l15.5 7-15.5 7 2.5-7Z", "M7 12h6"],
  spark: ["M12 4l1.8 6.2L20 12l-6.2 1.800L12 20l-1.8-6.2L4 12l6.2-1.800Z"],
};
