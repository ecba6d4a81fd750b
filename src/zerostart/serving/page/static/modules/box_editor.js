/** Move and resize a box on the picture: by mouse, by finger, by arrow keys (with Shift ten pixels at a time). */

import { makeSvg } from "./dom.js";
import { HANDLES, moved, pointIn, resized } from "./geometry.js";
import { word } from "./words.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HANDLE = 7; // half a side, in pixels of the screen
const TOUCH = 20;

/**
 * A group for the SVG of a picture of width × height pixels. `get()` and `set(box)` read and write the box; `place(scale)`
 * puts all parts where the box is, `scale` screen pixels to a picture pixel.
 */
export function boxEditor(svg, { width, height, get, set }) {
  const body = part("rect", "editor-body", word("editor_body"));
  const handles = HANDLES.map(([name, horizontal, vertical]) => {
    const group = part("g", `editor-handle ${name}`, word("editor_corner", { corner: word(`corner_${name}`) }));
    group.append(makeSvg("rect", { class: "touch" }), makeSvg("rect", { class: "grip" }));
    return { group, horizontal, vertical };
  });
  listen(svg, body, get, (start, dx, dy) => set(moved(start, dx, dy, width, height)));
  for (const { group, horizontal, vertical } of handles)
    listen(svg, group, get, (start, dx, dy) => set(resized(start, horizontal, vertical, dx, dy, width, height)));

  function place(scale) {
    const [x1, y1, x2, y2] = get();
    attributes(body, { x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
    for (const { group, horizontal, vertical } of handles) {
      const [x, y] = [horizontal < 0 ? x1 : x2, vertical < 0 ? y1 : y2];
      for (const [child, half] of [[group.children[0], TOUCH / scale], [group.children[1], HANDLE / scale]])
        attributes(child, { x: x - half, y: y - half, width: 2 * half, height: 2 * half });
    }
  }

  return { element: makeSvg("g", { class: "editor" }, body, handles.map(({ group }) => group)), place };
}

const part = (tag, name, label) => makeSvg(tag, { class: name, tabindex: 0, role: "application", "aria-label": label });

function attributes(element, values) {
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
}

/** change(box at the start, dx, dy) in picture pixels, while the part is dragged or an arrow key is down. */
function listen(svg, element, get, change) {
  element.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    const [from, start] = [pointIn(svg, event), get()];
    const onMove = (next) => {
      const to = pointIn(svg, next);
      change(start, to.x - from.x, to.y - from.y);
    };
    element.addEventListener("pointermove", onMove);
    for (const end of ["pointerup", "pointercancel"])
      element.addEventListener(end, () => element.removeEventListener("pointermove", onMove), { once: true });
  });
  element.addEventListener("keydown", (event) => {
    const direction = ARROWS[event.key];
    if (!direction) return;
    event.preventDefault();
    const step = event.shiftKey ? 10 : 1;
    change(get(), step * direction[0], step * direction[1]);
  });
}
