/** What may be completed while typing: people, the bot and its agents after "@", commands after "/". */

import { roleOf } from "./roles.js";

const BOT_VERBS = [
  { name: "help", description: "what the bot can do" },
  { name: "agents", description: "the agents that are there" },
  { name: "status", description: "what is running" },
  { name: "cancel", description: "stop this thread's run" },
];
const MOST = 8;

/**
 * The suggestions for the text before the caret.
 *
 * @param {string} before
 * @param {object} known `{directory, agents, commands}`; agents are names, commands are `"/name"`
 * @returns {{start: number, entries: Array<{insert: string, label: string, about: string, user?: string}>}}
 *   `start`: where the completed word begins; no entries where there is nothing to suggest
 */
export function suggest(before, known) {
  return (
    command(before, known) ?? agent(before, known) ?? mention(before, known) ?? { start: 0, entries: [] }
  );
}

function command(before, { commands }) {
  const match = /^\/(\S*)$/.exec(before);
  if (!match) return null;
  const entries = commands.map((name) => ({ insert: `${name} `, label: name, about: "command" }));
  return { start: 0, entries: matching(entries, `/${match[1]}`) };
}

function agent(before, { directory, agents }) {
  const opener = `@${directory.botName} `;
  const at = before.toLowerCase().lastIndexOf(opener.toLowerCase());
  if (at < 0) return null;
  const typed = before.slice(at + opener.length);
  if (/\s/.test(typed)) return null;
  const verbs = [...agents.map((name) => ({ name, description: "agent" })), ...BOT_VERBS];
  const entries = verbs.map(({ name, description }) => ({
    insert: `${name} `,
    label: name,
    about: description,
  }));
  return { start: at + opener.length, entries: matching(entries, typed) };
}

function mention(before, { directory }) {
  const match = /(?:^|[\s(])@([^@\n]{0,40})$/.exec(before);
  if (!match) return null;
  const people = directory.people().map((user) => ({
    insert: `@${user.name} `,
    label: user.name,
    about: roleOf(user).badge,
    user: user.id,
  }));
  const groups = [...directory.groups.values()].map((group) => ({
    insert: `@${group.handle} `,
    label: `@${group.handle}`,
    about: group.name ?? "group",
  }));
  const bot = {
    insert: `@${directory.botName} `,
    label: directory.botName,
    about: "asks an agent",
    user: directory.botId,
  };
  return {
    start: before.length - match[1].length - 1,
    entries: matching([bot, ...people, ...groups], match[1]),
  };
}

function matching(entries, typed) {
  const wanted = typed.toLowerCase();
  const words = (entry) => entry.label.toLowerCase().replace(/^@/, "");
  return entries
    .filter(
      (entry) =>
        words(entry).startsWith(wanted) ||
        words(entry)
          .split(/[\s._-]+/)
          .some((word) => wanted && word.startsWith(wanted)),
    )
    .slice(0, MOST);
}
