/** The workspace's control endpoints, `/sandbox/api/…`. */

const BASE = "/sandbox/api";

/** Why the app didn't acknowledge, by Slack's reason. */
const UNACKNOWLEDGED = {
  http_timeout: "The app didn’t acknowledge this within 3 seconds. It may still have received it.",
  http_error: "The app answered with an error.",
  connection_failed: "The app is offline: nobody received this.",
};

/**
 * The workspace refused, the app didn't acknowledge, or nothing answered. `status` is HTTP's, 0 where no answer came;
 * `body` the answer's JSON, or {}.
 */
export class Refused extends Error {
  constructor(status, body) {
    super(wordsOf(status, body));
    this.status = status;
    this.body = body;
  }
}

export const api = {
  state: () => get("/state"),
  channels: (user) => get("/channels", { user }),
  messages: (channel, user) => get(`/channels/${encodeURIComponent(channel)}/messages`, { user }),
  views: (user) => get("/views", { user }),
  say: (message) => post("/messages", message),
  act: (action) => interaction("/actions", action),
  submitView: (id, body) => interaction(`/views/${encodeURIComponent(id)}/submit`, body),
  closeView: (id, body) => interaction(`/views/${encodeURIComponent(id)}/close`, body),
  command: (command) => interaction("/commands", command),
  home: (user) => post("/home", { user }),
  scenario: (id) => post(`/scenarios/${encodeURIComponent(id)}`, {}),
  server: (action) => post("/server", { action }),
  reset: () => post("/reset", {}),
  stream: (user) => new EventSource(`${BASE}/stream?${new URLSearchParams({ user })}`),
};

function get(path, query = {}) {
  const search = new URLSearchParams(query).toString();
  return request(search ? `${path}?${search}` : path, {});
}

function post(path, body) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** A post that the app has to acknowledge; the workspace's `acked` is null where the app isn't told. */
async function interaction(path, body) {
  const answer = await post(path, body);
  if (answer.acked === false || answer.error) throw new Refused(200, answer);
  return answer;
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(BASE + path, options);
  } catch {
    throw new Refused(0, {});
  }
  const text = await response.text();
  const body = parsed(text);
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {}; // an empty or a text answer carries nothing the page uses
  }
}

function wordsOf(status, body) {
  if (status === 0) return "The local workspace doesn’t answer. Is its process still running?";
  return (
    body.message ||
    (status === 200 && UNACKNOWLEDGED[body.reason]) ||
    body.error ||
    `The local workspace answered ${status}.`
  );
}
