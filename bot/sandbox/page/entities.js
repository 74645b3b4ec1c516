/** Slack's three control characters, which travel as entities. Source: docs.slack.dev, "Formatting message text". */

/** `&lt; &gt; &amp;` decoded; nothing else is an entity. */
export function unescape(text) {
  return text.replace(/&(lt|gt|amp);/g, (entity, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);
}

/** Text typed by a person as Slack sends it on. */
export function escape(text) {
  return text.replace(/[&<>]/g, (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[character]);
}
