/** Pictures for the symbols that approvals use most: paths on a 24-unit grid, drawn for this page. */

const GREEN = "#2e9e5b";
const RED = "#d6453d";
const AMBER = "#f0a92e";
const BLUE = "#3d7fd9";
const GREY = "#8b9198";
const DARK = "#4a5057";
const PAPER = "#f4f1e8";
const SKIN = "#f5c04e";

const fill = (color, d) => ({ fill: color, d });
const line = (color, d, width = 2.4) => ({
  fill: "none",
  stroke: color,
  "stroke-width": width,
  "stroke-linecap": "round",
  "stroke-linejoin": "round",
  d,
});
const disc = (color, radius = 9.5) =>
  fill(
    color,
    `M12 ${12 - radius}a${radius} ${radius} 0 1 0 0 ${2 * radius} ${radius} ${radius} 0 1 0 0-${2 * radius}Z`,
  );
const square = (color) =>
  fill(
    color,
    "M6 2.500h12A3.5 3.5 0 0 1 21.5 6v12a3.5 3.5 0 0 1-3.5 3.500H6A3.5 3.5 0 0 1 2.5 18V6A3.5 3.5 0 0 1 6 2.500Z",
  );
const glass = [
  line(GREY, "M6 3h12M6 21h12"),
  fill("#cfe3f5", "M7.5 4h9c0 5-3.5 5.5-3.5 8s3.5 3 3.5 8h-9c0-5 3.5-5.5 3.5-8S7.5 9 7.5 4Z"),
];
const clock = [
  disc(PAPER),
  line(RED, "M12 2.500a9.5 9.5 0 1 0 0 19 9.5 9.5 0 1 0 0-19Z", 2),
  line(DARK, "M12 7v5.500l3.5 2"),
];
const padlock = fill(AMBER, "M5 10.500h14V21H5Z");

/** Symbol (without its variation selector) → paths. */
export const PICTURES = {
  "✅": [square(GREEN), line("#ffffff", "M7 12.500l3.5 3.500L17 8.5", 2.8)],
  "☑": [square(BLUE), line("#ffffff", "M7 12.500l3.5 3.500L17 8.5", 2.8)],
  "✔": [line(GREEN, "M4.5 13l5 5L19.5 6.5", 3.4)],
  "❌": [line(RED, "M5 5l14 14M19 5L5 19", 4)],
  "✖": [line(DARK, "M6 6l12 12M18 6L6 18", 3.6)],
  "⚠": [fill(AMBER, "M12 2.5 23 21.500H1Z"), line("#3a2a00", "M12 9.500v5.500M12 18.300v.1")],
  "❗": [line(RED, "M12 4v10.500M12 19.500v.2", 4)],
  "❓": [line(RED, "M7.5 8.500a4.5 4.5 0 1 1 6.8 3.800c-1.6 1-2.3 1.7-2.3 3.200M12 20v.1", 3.2)],
  ℹ: [square(BLUE), line("#ffffff", "M12 11v6M12 7v.1", 2.8)],
  "⏳": [...glass, fill(AMBER, "M9.5 7.500h5L12 11ZM12 15c2 1.5 3.3 2.5 3.7 5H8.300c.4-2.5 1.7-3.5 3.7-5Z")],
  "⌛": [...glass, fill(AMBER, "M12 13.500c2 1.5 3.7 3.5 4.2 6.500H7.800c.5-3 2.2-5 4.2-6.500Z")],
  "⏰": [line(DARK, "M6.5 19.500L5 21.500M17.5 19.500l1.5 2"), ...clock, line(RED, "M3 7l4-4M21 7l-4-4")],
  "⏱": [line(GREY, "M10 1.500h4"), ...clock],
  "🕐": clock,
  "⏸": [square(BLUE), line("#ffffff", "M9 8v8M15 8v8", 2.8)],
  "⏹": [square(BLUE), fill("#ffffff", "M8 8h8v8H8Z")],
  "▶": [square(BLUE), fill("#ffffff", "M9 7.500v9l7.5-4.500Z")],
  "◀": [square(BLUE), fill("#ffffff", "M15 7.5v9L7.5 12Z")],
  "➡": [square(BLUE), line("#ffffff", "M6.5 12h11M13 7.500l4.5 4.5-4.5 4.5", 2.4)],
  "🔄": [
    square(BLUE),
    line(
      "#ffffff",
      "M7 11a5.2 5.2 0 0 1 9.5-2.200M17 6v3.500h-3.500M17 13a5.2 5.2 0 0 1-9.5 2.200M7 18v-3.500h3.5",
      2,
    ),
  ],
  "🔁": [
    square(BLUE),
    line(
      "#ffffff",
      "M7 11a3 3 0 0 1 3-3h7M14.5 5.500L17 8l-2.5 2.500M17 13a3 3 0 0 1-3 3H7M9.5 18.500L7 16l2.5-2.5",
      2,
    ),
  ],
  "⛔": [disc(RED), line("#ffffff", "M7 12h10", 3.4)],
  "🚫": [line(RED, "M12 3.500a8.5 8.5 0 1 0 0 17 8.5 8.5 0 1 0 0-17ZM6 6l12 12", 3)],
  "🛑": [fill(RED, "M8 2.500h8l5.5 5.500v8L16 21.500H8L2.5 16V8Z"), line("#ffffff", "M7.5 12h9", 2.8)],
  "✋": [
    fill(
      SKIN,
      "M7 21c-2-2-4-6-4-8 0-1.2 1.6-1.4 2.2-.3L6.5 15V5.500a1.3 1.3 0 0 1 2.6 0V11h.9V3.300a1.3 1.3 0 0 1 2.6 0V11h.9V4.300a1.3 1.3 0 0 1 2.6 0V12h.9V7a1.3 1.3 0 0 1 2.6 0v8c0 3-1 5-2.6 6Z",
    ),
  ],
  "🔒": [line(GREY, "M8 11V7.500a4 4 0 0 1 8 0V11", 2.8), padlock, line(DARK, "M12 14.500v2.5")],
  "🔓": [line(GREY, "M8 11V6.500a4 4 0 0 1 7.8-1.2", 2.8), padlock, line(DARK, "M12 14.500v2.5")],
  "🔔": [
    fill(AMBER, "M12 3a6 6 0 0 1 6 6c0 5 1 6.5 2.5 8h-17C5 15.5 6 14 6 9a6 6 0 0 1 6-6Z"),
    fill(DARK, "M9.5 18.500h5a2.5 2.5 0 0 1-5 0Z"),
  ],
  "📣": [fill(RED, "M3 10v5h4L18 20V4L7 10Z"), line(GREY, "M21 9.500v5")],
  "🤖": [
    line(GREY, "M12 6V3"),
    fill(
      "#9fb4c4",
      "M5.5 6h13A2.5 2.5 0 0 1 21 8.500v8a2.5 2.5 0 0 1-2.5 2.500h-13A2.5 2.5 0 0 1 3 16.500v-8A2.5 2.5 0 0 1 5.5 6Z",
    ),
    line("#1f3140", "M8.5 11v.1M15.5 11v.1", 3.4),
    line("#1f3140", "M8.5 15.500h7", 2),
  ],
  "👀": [
    fill("#ffffff", "M7 5a4 6.5 0 1 0 .1 0ZM17 5a4 6.5 0 1 0 .1 0Z"),
    line(GREY, "M7 5a4 6.5 0 1 0 .1 0ZM17 5a4 6.5 0 1 0 .1 0Z", 1.4),
    line(DARK, "M8.5 12v1.500M18.5 12v1.5", 3.6),
  ],
  "🤔": [
    disc(SKIN),
    line(DARK, "M8.5 9.5v.1M15 9v.1", 3),
    line(DARK, "M7 6.5l2.5-.8M14 5.5l2.5 1M9 15.5c1.5-1 3.5-1.2 5.5-.8", 1.6),
  ],
  "👍": [
    fill(
      SKIN,
      "M9 10l3-7c2 0 2.8 1.3 2.5 3L14 9.500h5.500c2.5 0 2 2.8 1.2 3.3.8 1 .3 2.5-.7 2.9.5 1.2-.2 2.3-1.2 2.6.2 1.5-.8 2.2-2.3 2.200H11c-1 0-2-.8-2-1.500Z",
    ),
    fill(BLUE, "M3 10h5v11H3Z"),
  ],
  "👎": [
    fill(
      SKIN,
      "M9 14l3 7c2 0 2.8-1.3 2.5-3l-.5-3.500h5.500c2.5 0 2-2.8 1.2-3.3.8-1 .3-2.5-.7-2.9.5-1.2-.2-2.3-1.2-2.6.2-1.5-.8-2.2-2.3-2.200H11c-1 0-2 .8-2 1.500Z",
    ),
    fill(BLUE, "M3 3h5v11H3Z"),
  ],
  "👋": [
    fill(
      SKIN,
      "M9.5 20.500C6 18 3 13 4.3 12.200c1-.6 2.3 1 3 2.100L5.5 8c-.4-1.6 1.7-2.3 2.3-.7l1.7 4-1-6.500c-.2-1.7 2-2.1 2.4-.4l1.5 6.1.2-5c0-1.7 2.2-1.7 2.3 0l.3 6.5 1.5-2.900c.8-1.4 2.6-.6 2.1.9-1 3-.5 8.5-4.3 10.5-1.5.8-3.5.9-5 0Z",
    ),
    line(GREY, "M2.5 5.500L4 3M20 21l1.5-2.5", 1.8),
  ],
  "💬": [
    fill(PAPER, "M3 4h18v12.500h-9L7 21v-4.500H3Z"),
    line(GREY, "M3 4h18v12.500h-9L7 21v-4.500H3Z", 1.6),
    line(DARK, "M8 10.300v.1M12 10.300v.1M16 10.300v.1", 2.6),
  ],
  "📝": [
    fill(PAPER, "M4 2.500h13V21H4Z"),
    line(GREY, "M4 2.500h13V21H4Z", 1.4),
    line(GREY, "M7 7h7M7 11h7M7 15h4", 1.6),
    line(AMBER, "M21 9.500l-7 9", 3),
  ],
  "✏": [line(AMBER, "M19 5L7.5 16.5", 4.4), fill(DARK, "M3 21l1.8-5.600L8.6 19.200Z")],
  "📋": [
    fill("#b98a5a", "M4 4h16v18H4Z"),
    fill(PAPER, "M6.5 7h11v12.500h-11Z"),
    fill(GREY, "M9 2h6v4.500H9Z"),
    line(GREY, "M9 11h6M9 15h6", 1.6),
  ],
  "🧾": [
    fill(PAPER, "M5 2.500h14V22l-2.3-1.800L14.3 22 12 20.2 9.7 22l-2.4-1.800L5 22Z"),
    line(GREY, "M5 2.500h14V22l-2.3-1.800L14.3 22 12 20.2 9.7 22l-2.4-1.800L5 22Z", 1.4),
    line(DARK, "M8.5 8h7M8.5 12h7M8.5 16h4", 1.6),
  ],
  "💸": [
    fill("#4caf7d", "M3 7h18v10.500H3Z"),
    fill("#d9f2e3", "M12 9a3.3 3.3 0 1 0 .1 0Z"),
    line(GREY, "M7 21h10M9 3.500h6", 1.6),
  ],
  "💳": [
    fill(BLUE, "M4 5h16a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2Z"),
    fill("#1d3f70", "M2 8.500h20v3H2Z"),
    fill(AMBER, "M5 14h5v2.500H5Z"),
  ],
  "🚀": [
    fill("#d9dde2", "M21.5 2.500c.5 6-1.5 10-5.5 13.500l-4.5 2.5-6-6L8 8c3.5-4 7.5-6 13.5-5.500Z"),
    line(BLUE, "M15 9v.1", 5),
    fill(RED, "M8 8l-4.5 1L1.5 12.500l4 .1ZM16 16l-1 4.5-3.5 2-.1-4Z"),
    fill(AMBER, "M7 15.500l1.5 1.500L2.5 21.500Z"),
  ],
  "🎉": [
    fill(AMBER, "M2 22l5-14 9 9Z"),
    line(RED, "M13 9c0-3 2-4 2-6.5"),
    line(BLUE, "M15.5 11.500c2-2 3.5-1 5.5-2.5"),
    line(GREEN, "M19 16c1 0 2 .5 3 1.500M19.5 4v.1M10 3v.1", 2.8),
  ],
  "🔥": [
    fill(
      RED,
      "M12 1.500c1 4 6.5 6.5 6.5 13A6.5 6.5 0 0 1 12 22a6.5 6.5 0 0 1-6.5-7c0-3 1.5-4.5 2-7 1.5.5 2 1.5 2.5 3 1.5-2 2.5-5 2-9.500Z",
    ),
    fill(
      AMBER,
      "M12.5 11c.5 2.5 2.5 3.5 2.5 6.500a3 3 0 0 1-6 0c0-2 1-2.5 1.2-4 1 .3 1.3.8 1.5 1.5.7-1 1-2.5.8-4Z",
    ),
  ],
  "🚨": [
    fill(RED, "M6 18v-5a6 6 0 0 1 12 0v5Z"),
    fill(DARK, "M3.5 18h17v3.500h-17Z"),
    line(RED, "M12 1.500V4M3.5 5l1.7 1.700M20.5 5l-1.7 1.7", 2),
  ],
  "⚙": [disc(GREY, 7), line(GREY, "M12 2v20M2 12h20M5 5l14 14M19 5L5 19", 3), disc(PAPER, 3)],
  "🟢": [disc(GREEN)],
  "🔴": [disc(RED)],
  "🟡": [disc("#f2cf45")],
  "🟠": [disc("#ee8a34")],
  "🔵": [disc(BLUE)],
  "⚪": [disc(GREY), disc("#f6f6f4", 8.5)],
};
