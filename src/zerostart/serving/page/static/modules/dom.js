/**
 * Elements without HTML strings: every text, also one that came from a server or a file name, becomes a text node.
 */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `on…` attributes are listeners; `false`, null and undefined leave an attribute out; true sets it empty. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Put new children into a container; the keyboard stays on the element with the same data-key, else in the container. */
export function redraw(container, ...children) {
  const key = container.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  container.replaceChildren(...children.flat().filter(Boolean));
  if (key === undefined) return;
  const same = [...container.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
  (same ?? container.querySelector("button:enabled"))?.focus({ preventScroll: true });
}
