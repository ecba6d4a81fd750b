/**
 * The picture with its findings, as SVG in the picture's own pixels: a box's attributes are the numbers that the server sent.
 *
 * What is critical is told by a triangle and a double line, not by colour alone; what was rejected is dashed, what was
 * accepted has a tick.
 */

import { makeSvg } from "./dom.js";
import { spaced } from "./words.js";

const TEXT = 13; // pixels of the screen
const PLATE = 18;
const REACH = 6; // so far beside a thin box a finger still hits it
const MARKS = { accept: "✓", reject: "✕", correct: "✎" };

/** Draw `findings` (entries of shown.js) into an SVG that shows the picture at `scale` screen pixels to one of its own. */
export function drawOverlay(svg, { picture, address, findings, selected, scale, onSelect }) {
  const { width, height } = picture;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  let image = svg.querySelector("image");
  if (!image) {
    image = makeSvg("image", { x: 0, y: 0, preserveAspectRatio: "none" });
    svg.append(image, makeSvg("g", { class: "boxes" }));
  }
  for (const [name, value] of Object.entries({ width, height, href: address }))
    if (image.getAttribute(name) !== String(value)) image.setAttribute(name, value);
  const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
  const inOrder = [...findings].sort((a, b) => area(b) - area(a)); // small ones on top, where they can be hit
  svg
    .querySelector(".boxes")
    .replaceChildren(...inOrder.map((finding) => drawBox(finding, finding.id === selected, width, height, scale, onSelect)));
}

function drawBox(finding, isSelected, width, height, scale, onSelect) {
  const { box, critical, decision, isAdded } = finding;
  const names = ["box", critical && "critical", isSelected && "selected", decision, isAdded && "added"];
  const at = { x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] };
  const reach = REACH / scale;
  const touch = { x: at.x - reach, y: at.y - reach, width: at.width + 2 * reach, height: at.height + 2 * reach };
  return makeSvg(
    "g",
    { class: names.filter(Boolean).join(" "), "data-id": finding.id, onclick: () => onSelect(finding.id) },
    makeSvg("rect", { class: "touch", ...touch }),
    makeSvg("rect", { class: "halo", ...at }),
    makeSvg("rect", { class: "line", ...at }),
    critical && makeSvg("rect", { class: "inner", ...inset(at, 3.5 / scale) }),
    label(finding, isSelected, width, height, scale),
  );
}

const inset = (at, by) => ({
  x: at.x + by,
  y: at.y + by,
  width: Math.max(0, at.width - 2 * by),
  height: Math.max(0, at.height - 2 * by),
});

/** Number, triangle, mark; with the class where the box is wide enough or selected. Above the box, or inside at the top edge. */
function label(finding, isSelected, width, height, scale) {
  const [x1, y1, x2] = finding.box;
  const short = [finding.number ?? "+", finding.critical && "▲", MARKS[finding.decision]].filter(Boolean).join(" ");
  const long = `${short} ${spaced(finding.class)}`;
  const wide = (text) => (0.6 * TEXT * text.length + 8) / scale;
  const text = isSelected || wide(long) <= 1.4 * (x2 - x1) ? long : short;
  const plate = PLATE / scale;
  const x = Math.max(0, Math.min(x1, width - wide(text)));
  const y = y1 >= plate ? y1 - plate : Math.min(y1, height - plate);
  return makeSvg(
    "g",
    { class: "label" },
    makeSvg("rect", { x, y, width: wide(text), height: plate }),
    makeSvg("text", { x: x + 4 / scale, y: y + plate - 5 / scale, "font-size": TEXT / scale }, text),
  );
}
