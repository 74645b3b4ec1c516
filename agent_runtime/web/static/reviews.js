// The reviewer's pages: shows what changes as it changes, and posts decisions. Without it the pages still decide.
import { morph } from "/static/morph.js";

const AGAIN_AFTER = 3000; // milliseconds until a lost connection or a failed reading is tried again
const PATIENCE = 10000; // milliseconds that an answer may take
const SAID_AFTER = 2500; // milliseconds until whoever decides hears that it is not confirmed yet
const BREATH = 250; // milliseconds between readings, however much happens
const part = document.getElementById("part");
const announced = document.getElementById("announced");
const offline = document.getElementById("offline");
const confirmation = document.getElementById("confirm");
const baseTitle = document.title;
let clockAhead = 0; // the server's clock less this one, in milliseconds
let reading = false;
let readAgain = false;
let pressed = false; // nothing is moved under a finger
let hearing = false; // the feed tells what changes
let mark = "";

// --- what people are told ---------------------------------------------------------------------------------------

function announce(words) {
  announced.textContent = words;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (announced.textContent = ""), 12000);
}

function live(state, words) {
  document.getElementById("live").dataset.state = state;
  document.getElementById("live-words").textContent = words;
  offline.hidden = state === "on";
}

function away(words, link) {
  live("off", "not live");
  offline.textContent = words;
  if (link) {
    const anchor = document.createElement("a");
    [anchor.href, anchor.textContent] = [link, "Sign in"];
    offline.append(" ", anchor);
  }
}

// --- what is shown ----------------------------------------------------------------------------------------------

const titleOf = (card) => card.querySelector(".title").textContent;
const shownCards = () => new Map([...part.querySelectorAll("[data-card]")].map((card) => [card.id, card]));

async function refresh() {
  if (reading || pressed) {
    readAgain = true;
    return;
  }
  reading = true;
  let again = AGAIN_AFTER; // the feed has told of this change and will not do so again
  try {
    const [answer, html] = await fetched(part.dataset.source, { headers: { Accept: "text/html" } });
    if (answer.status === 401) {
      again = 0;
      return away("You are not signed in any more; what you see may be old.", "/sign-in");
    }
    if (!answer.ok) return away("The server refuses to show more; what you see may be old. Trying again …");
    show(html);
    again = 0;
    if (hearing) live("on", "live");
  } catch {
    away("The server cannot be reached; what you see may be old. Trying again …");
  } finally {
    if (again) readAgain = true;
    setTimeout(() => {
      reading = false;
      catchUp();
    }, again || BREATH);
  }
}

/** The answer and its text, as long as both come in time. */
async function fetched(url, options) {
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(), PATIENCE);
  try {
    const answer = await fetch(url, { ...options, signal: waiting.signal });
    return [answer, await answer.text()];
  } finally {
    clearTimeout(timer);
  }
}

function catchUp() {
  if (!readAgain || pressed) return;
  readAgain = false;
  refresh();
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-part]");
  if (!fresh) return;
  const before = shownCards();
  const titles = new Map([...before].map(([id, card]) => [id, titleOf(card)]));
  const held = document.activeElement?.closest("[data-card]")?.id;
  morph(part.querySelector("[data-part]"), fresh);
  const after = shownCards();
  settleIn();
  const added = [...after.keys()].filter((id) => !before.has(id));
  const gone = [...before.keys()].filter((id) => !after.has(id));
  if (held && !after.has(held)) document.getElementById("waiting-title")?.focus();
  const words = [
    ...gone.map((id) => endOf(id.slice("approval-".length), titles.get(id))),
    ...added.map((id) => `New: ${titleOf(after.get(id))}`),
  ];
  if (words.length) announce(words.join(" · "));
}

function endOf(id, title) {
  const row = part.querySelector(`[data-testid="decided-${CSS.escape(id)}"]`);
  return `${row?.querySelector(".badge").textContent.trim() ?? "No longer waiting"}: ${title}`;
}

function settleIn() {
  const shown = part.querySelector("[data-part]");
  clockAhead = Number(shown.dataset.now) - Date.now();
  mark = shown.dataset.mark;
  if (shown.dataset.waiting !== undefined) {
    const waiting = Number(shown.dataset.waiting);
    document.title = waiting ? `(${waiting}) ${baseTitle}` : baseTitle;
  }
  tick();
}

function tick() {
  for (const time of document.querySelectorAll("time[data-expires]")) {
    const left = Math.ceil((Number(time.dataset.expires) - Date.now() - clockAhead) / 1000);
    time.textContent = left > 0 ? `in ${inWords(left)}` : "now";
    time.classList.toggle("soon", left <= 60);
    for (const button of time.closest("[data-card]").querySelectorAll("[name=decision]")) button.disabled = left <= 0;
  }
}

function inWords(seconds) {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

// --- what is decided --------------------------------------------------------------------------------------------

async function decide(form, button) {
  const problem = form.querySelector(".problem");
  const comment = form.querySelector("textarea");
  problem.hidden = true;
  if (button.hasAttribute("data-needs-comment") && !comment.value.trim()) {
    tell(problem, "Say in the comment what should change; the agent is told word for word.");
    return comment.focus();
  }
  if (button.dataset.confirm && !(await confirmed(button.dataset.confirm))) return;
  const body = new URLSearchParams(new FormData(form, button));
  const token = part.querySelector("[data-part]").dataset.csrf; // newer than the form's on a page that is long open
  const headers = { Accept: "application/json", "X-CSRF-Token": token };
  form.setAttribute("aria-busy", "true");
  const slow = setTimeout(
    () => tell(problem, "Not confirmed yet: the server is slow. This page shows it as soon as it is."),
    SAID_AFTER,
  );
  try {
    const [answer, text] = await fetched(form.action, { method: "POST", headers, body });
    const said = JSON.parse(text);
    if (!answer.ok) {
      tell(problem, said.detail);
      announce(said.detail);
    } else {
      comment.value = "";
      problem.hidden = true;
    }
  } catch {
    tell(problem, "Not confirmed: the server did not answer. What is shown will follow; deciding again is safe.");
  } finally {
    clearTimeout(slow);
    form.removeAttribute("aria-busy");
    refresh();
  }
}

function tell(problem, words) {
  problem.textContent = words;
  problem.hidden = false;
}

function confirmed(what) {
  document.getElementById("confirm-what").textContent = what;
  confirmation.returnValue = "";
  confirmation.showModal();
  return new Promise((resolve) =>
    confirmation.addEventListener("close", () => resolve(confirmation.returnValue === "yes"), { once: true }),
  );
}

// --- what happens by itself -------------------------------------------------------------------------------------

function hears() {
  hearing = true;
  live("on", "live");
}

function listen() {
  const feed = new EventSource("/feed");
  feed.addEventListener("open", () => hears());
  feed.addEventListener("changed", (event) => {
    hears();
    if (JSON.parse(event.data).mark !== mark || mark === "") refresh();
  });
  feed.addEventListener("again", () => {
    feed.close();
    listen();
  });
  feed.addEventListener("error", () => {
    hearing = false;
    away("The connection is lost; what you see may be old. Trying again …");
    feed.close();
    setTimeout(() => {
      refresh();
      listen();
    }, AGAIN_AFTER);
  });
  addEventListener("pagehide", () => feed.close(), { once: true });
}

if (part) {
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-form]") || !event.submitter) return;
    event.preventDefault();
    if (event.target.getAttribute("aria-busy") !== "true") decide(event.target, event.submitter);
  });
  document.addEventListener("pointerdown", () => (pressed = true));
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () =>
      setTimeout(() => {
        pressed = false;
        catchUp();
      }),
    );
  }
  document.getElementById("confirm-yes").addEventListener("click", () => confirmation.close("yes"));
  document.getElementById("confirm-no").addEventListener("click", () => confirmation.close("no"));
  settleIn();
  setInterval(tick, 1000);
  listen();
}
