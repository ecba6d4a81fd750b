/** Line icons of 20 × 20, drawn in the colour of the text around them. */

import { makeSvg } from "./dom.js";

const PATHS = {
  accept: "M4 10.5l4 4 8-9",
  reject: "M5 5l10 10M15 5L5 15",
  correct: "M4 16l1-4 8-8 3 3-8 8zM11 6l3 3",
  remove: "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11",
  add: "M10 4v12M4 10h12",
  critical: "M10 3l8 14H2zM10 8v4M10 14.2v.3",
  larger: "M9 6v6M6 9h6M13 13l4 4M9 15a6 6 0 1 1 0-12 6 6 0 0 1 0 12z",
  smaller: "M6 9h6M13 13l4 4M9 15a6 6 0 1 1 0-12 6 6 0 0 1 0 12z",
  whole: "M3 8V3h5M12 3h5v5M17 12v5h-5M8 17H3v-5",
};

export function icon(name) {
  return makeSvg(
    "svg",
    { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" },
    makeSvg("path", { d: PATHS[name] }),
  );
}

/** Where in the picture a view lies: a frame with the part that was looked at. */
export function viewIcon(name) {
  const at = { top_left: [0, 0], top_right: [1, 0], bottom_left: [0, 1], bottom_right: [1, 1], centre: [0.5, 0.5] }[name];
  const part = at ? { x: 2 + 6.4 * at[0], y: 2 + 6.4 * at[1], width: 9.6, height: 9.6 } : { x: 2, y: 2, width: 16, height: 16 };
  return makeSvg(
    "svg",
    { viewBox: "0 0 20 20", class: "icon view-icon", "aria-hidden": "true" },
    makeSvg("rect", { x: 2, y: 2, width: 16, height: 16 }),
    makeSvg("rect", { ...part, class: "part" }),
  );
}
