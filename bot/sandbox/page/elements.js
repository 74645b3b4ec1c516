/**
 * Block Kit's interactive elements in actions blocks and section accessories: buttons, overflow menus,
 * selects. A use is handed to `surface.interact({element, block, state, node})`, `state` as in `view.state.values`.
 */

import { control } from "./controls.js";
import { h, icon } from "./dom.js";
import { openMenu } from "./menu.js";
import { plainString, textObject } from "./mrkdwn.js";

let serial = 0;

/** The node for one element. */
export function element(spec, block, surface) {
  switch (spec.type) {
    case "button":
      return button(spec, block, surface);
    case "overflow":
      return overflow(spec, block, surface);
    case "image":
      return image(spec, "accessory__image");
    default:
      return chooser(spec, block, surface);
  }
}

/** An image with its alternative text. This page loads none from elsewhere: of those only the text shows. */
export function image(spec, className) {
  const url = spec.image_url ?? spec.slack_file?.url ?? "";
  const alt = spec.alt_text ?? "";
  const missing = h("span", { class: "image--missing", role: "img", title: url, aria: { label: alt } }, alt);
  if (!/^data:image\//i.test(url) && !url.startsWith(`${location.origin}/`)) return missing;
  const picture = h("img", { class: className, alt, title: alt, src: url });
  picture.addEventListener("error", () => picture.replaceWith(missing), { once: true });
  return picture;
}

function button(spec, block, surface) {
  const look = { primary: " button--primary", danger: " button--danger" }[spec.style] ?? "";
  const node = h(
    "button",
    {
      type: "button",
      class: `button${look}`,
      testid: `action-${spec.action_id}`,
      aria: spec.accessibility_label ? { label: spec.accessibility_label } : {},
    },
    h("span", { class: "button__label" }, textObject(spec.text, surface.directory)),
  );
  node.addEventListener("click", () => {
    if (node.getAttribute("aria-busy") === "true") return;
    if (/^https?:\/\//i.test(spec.url ?? "")) window.open(spec.url, "_blank", "noopener,noreferrer");
    surface.interact({ element: spec, block, state: null, node });
  });
  return node;
}

function overflow(spec, block, surface) {
  const node = h(
    "button",
    {
      type: "button",
      class: "button button--icon",
      testid: `action-${spec.action_id}`,
      title: "More actions",
      aria: { label: "More actions", haspopup: "menu", expanded: "false" },
    },
    icon("more"),
  );
  node.addEventListener("click", () =>
    openMenu(
      node,
      (spec.options ?? []).map((option) => ({
        label: textObject(option.text, surface.directory),
        about: option.description ? plainString(option.description) : "",
        testid: `option-${option.value}`,
        choose: () => {
          if (/^https?:\/\//i.test(option.url ?? ""))
            window.open(option.url, "_blank", "noopener,noreferrer");
          surface.interact({
            element: spec,
            block,
            state: { type: spec.type, selected_option: option },
            node,
          });
        },
      })),
    ),
  );
  return node;
}

/** Selects, pickers, checkboxes: a change is the interaction. */
function chooser(spec, block, surface) {
  const entry = control(spec, {
    id: `element-${(serial += 1)}`,
    directory: surface.directory,
    testid: `action-${spec.action_id}`,
    label: spec.placeholder ? plainString(spec.placeholder) : spec.action_id,
    changed: () => surface.interact({ element: spec, block, state: entry.state(), node: entry.node }),
  });
  return entry ? entry.node : h("span", { class: "unsupported" }, `Unsupported element: ${spec.type}`);
}
