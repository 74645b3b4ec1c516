/** Times as a reader sees them: in the browser's own time zone, with UTC in the tooltip. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Slack's message timestamp ("1700000000.000100": seconds) as a Date. */
export function dateOf(ts) {
  return new Date(Number.parseFloat(ts) * 1000);
}

/** "14:05" or "2:05 PM", as the browser's language has it. */
export function clock(date, seconds = false) {
  return date.toLocaleTimeString([], {
    hour: "numeric",
    minute: "2-digit",
    second: seconds ? "2-digit" : undefined,
  });
}

/** "Today", "Yesterday", or "Tuesday, February 18". */
export function dayLabel(date) {
  const word = relativeDay(date);
  if (word) return word[0].toUpperCase() + word.slice(1);
  return date.toLocaleDateString("en", { weekday: "long", month: "long", day: "numeric" });
}

/** Whether two Dates fall on the same local day. */
export function sameDay(a, b) {
  return a.toDateString() === b.toDateString();
}

/** "just now", "5 minutes ago", "in 2 hours". */
export function ago(date, now = new Date()) {
  const seconds = Math.round((now - date) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 10) return "just now";
  const [size, unit] =
    distance < MINUTE
      ? [1, "second"]
      : distance < HOUR
        ? [MINUTE, "minute"]
        : distance < DAY
          ? [HOUR, "hour"]
          : [DAY, "day"];
  const count = Math.floor(distance / size);
  const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds >= 0 ? `${words} ago` : `in ${words}`;
}

/** The full local time and the same in UTC, for a tooltip. */
export function exactly(date) {
  return `${date.toLocaleString([], { dateStyle: "full", timeStyle: "long" })} · ${date.toISOString().replace(".000Z", "Z")}`;
}

/**
 * Slack's date format, `<!date^seconds^format|fallback>`.
 * Source: docs.slack.dev, "Formatting message text", date formatting.
 *
 * @param {Date} date
 * @param {string} format text with tokens such as `{date_short} at {time}`; unknown tokens stay as they are
 */
export function formatDate(date, format) {
  return format.replace(/\{(\w+)\}/g, (token, name) => (TOKENS[name] ? TOKENS[name](date) : token));
}

const TOKENS = {
  date_num: (date) => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`,
  date_slash: (date) => `${pad(date.getMonth() + 1)}/${pad(date.getDate())}/${date.getFullYear()}`,
  date: (date) => `${month(date, "long")} ${ordinal(date)}, ${date.getFullYear()}`,
  date_short: (date) => `${month(date, "short")} ${date.getDate()}, ${date.getFullYear()}`,
  date_long: (date) => `${date.toLocaleDateString("en", { weekday: "long" })}, ${TOKENS.date(date)}`,
  date_pretty: (date) => relativeDay(date) || TOKENS.date(date),
  date_short_pretty: (date) => relativeDay(date) || TOKENS.date_short(date),
  date_long_pretty: (date) => relativeDay(date) || TOKENS.date_long(date),
  day_divider_pretty: (date) => relativeDay(date) || dayLabel(date),
  time: (date) => clock(date),
  time_secs: (date) => clock(date, true),
  ago: (date) => ago(date),
};

function relativeDay(date) {
  const today = new Date();
  for (const [offset, word] of [
    [0, "today"],
    [-1, "yesterday"],
    [1, "tomorrow"],
  ]) {
    const day = new Date(today.getFullYear(), today.getMonth(), today.getDate() + offset);
    if (sameDay(day, date)) return word;
  }
  return "";
}

function ordinal(date) {
  const day = date.getDate();
  const tens = day % 100;
  const suffix = tens >= 11 && tens <= 13 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[day % 10] || "th";
  return `${day}${suffix}`;
}

function month(date, length) {
  return date.toLocaleDateString("en", { month: length });
}

function pad(number) {
  return String(number).padStart(2, "0");
}
