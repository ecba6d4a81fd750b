/** Boxes [x1, y1, x2, y2] in pixels of the upright picture. */

export const LEAST_SIDE = 2;

/** Which edges each handle moves: −1 left or top, 1 right or bottom, 0 neither. */
export const HANDLES = [
  ["top_left", -1, -1],
  ["top_right", 1, -1],
  ["bottom_right", 1, 1],
  ["bottom_left", -1, 1],
];

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box moved by (dx, dy), kept inside a picture of the given size. */
export function moved([x1, y1, x2, y2], dx, dy, width, height) {
  const right = clamp(dx, -x1, width - x2);
  const down = clamp(dy, -y1, height - y2);
  return [x1 + right, y1 + down, x2 + right, y2 + down];
}

/** The box with one corner moved by (dx, dy); no side gets shorter than LEAST_SIDE. */
export function resized([x1, y1, x2, y2], horizontal, vertical, dx, dy, width, height) {
  return [
    horizontal < 0 ? clamp(x1 + dx, 0, x2 - LEAST_SIDE) : x1,
    vertical < 0 ? clamp(y1 + dy, 0, y2 - LEAST_SIDE) : y1,
    horizontal > 0 ? clamp(x2 + dx, x1 + LEAST_SIDE, width) : x2,
    vertical > 0 ? clamp(y2 + dy, y1 + LEAST_SIDE, height) : y2,
  ];
}

/** The box between two points, inside the picture. */
export function between(one, other, width, height) {
  const [x1, x2] = [one.x, other.x].map((x) => clamp(x, 0, width)).sort((a, b) => a - b);
  const [y1, y2] = [one.y, other.y].map((y) => clamp(y, 0, height)).sort((a, b) => a - b);
  return [x1, y1, x2, y2];
}

/** Intersection over union. */
export function iou(a, b) {
  const wide = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const high = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (wide <= 0 || high <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (wide * high) / (area(a) + area(b) - wide * high);
}

/** A mouse's or finger's place in the picture's pixels. */
export function pointIn(svg, event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
}
