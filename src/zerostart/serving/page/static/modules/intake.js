/** Pictures come in by picker, drag and drop, or paste; the camera has a file of its own. */

import { byId } from "./dom.js";
import { inspect, MOST, take } from "./picture.js";
import { on, state } from "./state.js";
import { word } from "./words.js";

export function startIntake() {
  const picker = byId("files");
  byId("choose").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    takeIn([...picker.files]);
    picker.value = ""; // so that the same file can be chosen again
  });
  startDrop();
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return; // text into a field
    event.preventDefault();
    takeIn(files);
  });
  on("language", () => say(""));
  byId("again").addEventListener("click", () => inspect(state.current));
  on("current pictures", () => (byId("again").disabled = !state.current));
}

/** The whole page takes what is dropped; the frame shows that it does. */
function startDrop() {
  const frame = byId("intake");
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let inside = 0; // dragenter and dragleave come for every element on the way
  const mark = (change) => {
    inside = Math.max(0, inside + change);
    frame.classList.toggle("over", inside > 0);
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && mark(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && mark(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(-inside);
    takeIn([...event.dataTransfer.files]);
  });
}

const say = (sentence) => (byId("intake-said").textContent = sentence);

export function takeIn(files) {
  const leftOut = take(files);
  say(leftOut > 0 ? word("left_out", { count: leftOut, most: MOST }) : "");
}
