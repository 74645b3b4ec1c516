/** The place being looked at, kept in the address: `#user=U…&channel=C…&thread=ts`. `channel=home` is App Home. */

export const HOME = "home";

/** The place that the address names; each part is "" where it is missing. */
export function place() {
  const parts = new URLSearchParams(location.hash.slice(1));
  return {
    user: parts.get("user") ?? "",
    channel: parts.get("channel") ?? "",
    thread: parts.get("thread") ?? "",
  };
}

/** The address of a place, for links. */
export function address({ user, channel, thread }) {
  const parts = new URLSearchParams();
  if (user) parts.set("user", user);
  if (channel) parts.set("channel", channel);
  if (thread) parts.set("thread", thread);
  return `#${parts}`;
}

/** Goes to another place; `replace` leaves no entry in the browser's history. */
export function go(where, replace = false) {
  const hash = address(where);
  if (hash === location.hash) return;
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  window.dispatchEvent(new Event("placechange"));
}

/** Calls `listen` whenever the place changes, by `go`, a link, or the browser's own buttons. */
export function onPlaceChange(listen) {
  for (const event of ["placechange", "hashchange", "popstate"]) window.addEventListener(event, listen);
}
