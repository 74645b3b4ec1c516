// Brings one part of the page to look like another, touching only what differs: focus, selection and what is typed stay.

const kept = (node) => node.nodeName === "TEXTAREA" || node.nodeName === "INPUT";

export function morph(have, want) {
  if (have.nodeType !== Node.ELEMENT_NODE) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  if (have.hasAttribute("data-card") && have.dataset.version === want.dataset.version) return;
  attributes(have, want);
  if (!kept(have)) children(have, want);
}

function attributes(have, want) {
  for (const { name } of [...have.attributes]) if (!want.hasAttribute(name)) have.removeAttribute(name);
  for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
}

function children(have, want) {
  const wanted = new Set([...want.children].map((child) => child.id).filter(Boolean));
  for (const child of [...have.children]) if (child.id && !wanted.has(child.id)) child.remove();
  let next = have.firstChild;
  for (const child of want.childNodes) {
    const same = child.id ? [...have.children].find((other) => other.id === child.id) : alike(next, child);
    if (!same) {
      have.insertBefore(document.importNode(child, true), next);
    } else {
      if (same === next) next = next.nextSibling;
      else have.insertBefore(same, next);
      morph(same, child);
    }
  }
  while (next) {
    const stale = next;
    next = next.nextSibling;
    stale.remove();
  }
}

function alike(node, child) {
  return node && !node.id && node.nodeName === child.nodeName ? node : null;
}
