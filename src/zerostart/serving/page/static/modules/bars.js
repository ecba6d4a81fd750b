/** Bars of numbers. */

import { make, makeSvg } from "./dom.js";

/** A bar from zero in the middle, for a value of −most..most. */
export function signedBar(value, most, kind) {
  const length = most > 0 ? (50 * Math.min(Math.abs(value), most)) / most : 0;
  return makeSvg(
    "svg",
    { class: `bar-svg ${kind}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("rect", { class: "groove", x: 0, y: 0, width: 100, height: 8 }),
    makeSvg("rect", { class: "value", x: value < 0 ? 50 - length : 50, y: 0, width: length, height: 8 }),
    makeSvg("rect", { class: "zero", x: 49.7, y: 0, width: 0.6, height: 8 }),
  );
}

/** A bar of a score in 0..1 with a full line at the threshold in use and a dotted one at another. */
export function scoreBar(score, inUse, other) {
  const line = (at, kind) => makeSvg("rect", { class: kind, x: 100 * at - 0.5, y: 0, width: 1, height: 8 });
  return make(
    "span",
    { class: "score-bar" },
    makeSvg(
      "svg",
      { class: "bar-svg", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      makeSvg("rect", { class: "groove", x: 0, y: 0, width: 100, height: 8 }),
      makeSvg("rect", { class: "value", x: 0, y: 0, width: 100 * score, height: 8 }),
      other !== undefined && line(other, "other"),
      line(inUse, "limit"),
    ),
  );
}
