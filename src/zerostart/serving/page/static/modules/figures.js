/** The stage: a figure for each detector, with its threshold, and the picture in it. */

import { boxEditor } from "./box_editor.js";
import { byId, make, makeSvg, redraw } from "./dom.js";
import { leave, setBox } from "./editing.js";
import { between, LEAST_SIDE, pointIn } from "./geometry.js";
import { icon } from "./icons.js";
import { drawOverlay } from "./overlay.js";
import { added, enginesShown, ranked, shown, thresholdOf } from "./shown.js";
import { on, state, tell } from "./state.js";
import { number, word } from "./words.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6];
const THUMB = 20; // width of the slider's thumb, as in stage.css
let zoom = 1;
let figures = [];

export function startFigures() {
  on("current", () => {
    zoom = 1;
    build();
  });
  on("language", build);
  on("shown selected verdict", draw);
  on("edited", () => figures.forEach((figure) => figure.editor?.place(scaleOf(figure.svg))));
  new ResizeObserver(() => state.current && draw()).observe(byId("figures"));
}

function build() {
  const { current } = state;
  byId("shown").hidden = !current;
  byId("empty").hidden = Boolean(current);
  if (!current) return;
  byId("stage-title").textContent = current.name;
  tools();
  const engines = enginesShown();
  figures = engines.length ? engines.map(makeFigure) : [plainFigure()];
  redraw(byId("figures"), figures.map(({ element }) => element));
  byId("figures").classList.toggle("two", figures.length === 2);
  draw();
}

function tools() {
  const choice = (engines) =>
    make(
      "label",
      { class: "segment" },
      make("input", {
        type: "radio",
        name: "engines",
        "data-key": `engines ${engines}`,
        checked: state.engines === engines,
        onchange: () => {
          state.engines = engines;
          leave();
          build();
          tell("shown");
        },
      }),
      make("span", {}, word(`engines_${engines}`)),
    );
  const zoomTo = (step, name) =>
    make(
      "button",
      { type: "button", class: "quiet", "data-key": name, "aria-label": word(name), title: word(name), onclick: () => changeZoom(step) },
      icon({ zoom_in: "larger", zoom_out: "smaller", zoom_whole: "whole" }[name]),
    );
  redraw(
    byId("stage-tools"),
    enginesShown().length > 0 && make("fieldset", { class: "segments" }, make("legend", { class: "hidden" }, word("detector")), ["refined", "baseline", "both"].map(choice)),
    make("div", { class: "segments" }, zoomTo(-1, "zoom_out"), zoomTo(1, "zoom_in"), zoomTo(0, "zoom_whole")),
  );
}

function changeZoom(step) {
  zoom = step === 0 ? 1 : ZOOMS[Math.min(Math.max(ZOOMS.indexOf(zoom) + step, 0), ZOOMS.length - 1)];
  draw();
}

function makeFigure(engine) {
  const svg = makeSvg("svg", { class: "picture-svg", role: "group", "data-engine": engine });
  const count = make("span", { class: "faint" });
  const slider = make("input", {
    type: "range",
    "data-key": `threshold ${engine}`,
    "aria-label": word("threshold_of", { detector: word(`engines_${engine}`) }),
    min: state.current.answer.floor,
    max: 1,
    step: 0.01,
    oninput: () => {
      state.threshold[engine] = slider.valueAsNumber;
      tell("shown");
    },
  });
  const chosen = state.current.answer.thresholds[engine];
  const mark = make("span", { class: "mark", "aria-hidden": "true" });
  const part = (chosen - slider.min) / (1 - slider.min);
  mark.style.left = `calc(${THUMB / 2}px + (100% - ${THUMB}px) * ${part})`;
  const output = make("output", {});
  const back = make(
    "button",
    {
      type: "button",
      class: "quiet",
      "data-key": `val ${engine}`,
      title: word("threshold_back"),
      onclick: () => {
        delete state.threshold[engine];
        tell("shown");
      },
    },
    word("threshold_val", { threshold: number(chosen) }),
  );
  const element = make(
    "figure",
    { class: "figure", "data-engine": engine },
    make("figcaption", {}, make("strong", {}, word(`engines_${engine}`)), count),
    make("div", { class: "threshold" }, make("span", {}, word("threshold")), make("span", { class: "slider" }, slider, mark), output, back),
    make("div", { class: "canvas" }, svg),
  );
  drawNewBox(svg);
  return { engine, element, svg, count, slider, output, editor: null, editing: null };
}

/** The picture alone, from a server without a detector. */
function plainFigure() {
  const svg = makeSvg("svg", { class: "picture-svg", role: "group" });
  drawNewBox(svg);
  return { engine: null, element: make("figure", { class: "figure" }, make("div", { class: "canvas" }, svg)), svg, editor: null, editing: null };
}

const scaleOf = (svg) => svg.getBoundingClientRect().width / state.current.answer.picture.width || 1;

function draw() {
  if (!state.current) return;
  const { answer, address } = state.current;
  for (const figure of figures) {
    const { engine, svg } = figure;
    const findings = engine ? shown(engine) : [];
    if (engine) drawThreshold(figure, findings.length);
    const { width, height } = answer.picture;
    svg.style.width = `calc(min(100%, 62vh * ${width / height}) * ${zoom})`;
    svg.setAttribute("aria-label", word("picture_with", { count: findings.length }));
    const edited = state.editing?.id;
    drawOverlay(svg, {
      picture: answer.picture,
      address,
      findings: [...findings, ...added()].filter(({ id }) => id !== edited),
      selected: state.selected,
      scale: scaleOf(svg),
      onSelect: select,
    });
    drawEditor(figure, width, height);
  }
}

function drawThreshold({ engine, count, slider, output }, visible) {
  const threshold = thresholdOf(engine);
  count.textContent = word("shown_of", { shown: visible, all: ranked(engine).length });
  if (slider !== document.activeElement || !(engine in state.threshold)) slider.value = threshold;
  output.textContent = number(threshold);
}

function select(id) {
  if (state.editing) return;
  state.selected = id;
  tell("selected");
}

/** The handles stand on the figure of the finding's detector; those of an added box on the first. */
function drawEditor(figure, width, height) {
  const isHere = state.editing && (state.editing.engine ?? figures[0].engine) === figure.engine;
  if (figure.editing !== state.editing) {
    figure.editor?.element.remove();
    figure.editor = null;
    figure.editing = state.editing;
    if (isHere) {
      figure.editor = boxEditor(figure.svg, { width, height, get: () => state.editing.box, set: setBox });
      figure.svg.append(figure.editor.element);
    }
  }
  figure.editor?.place(scaleOf(figure.svg));
  figure.svg.classList.toggle("drawing", Boolean(isHere && state.editing.id === "new"));
}

/** While a box is added, dragging on the free picture draws it. */
function drawNewBox(svg) {
  svg.addEventListener("pointerdown", (event) => {
    if (!svg.classList.contains("drawing")) return;
    event.preventDefault();
    const { width, height } = state.current.answer.picture;
    const from = pointIn(svg, event);
    const onMove = (next) => {
      const box = between(from, pointIn(svg, next), width, height);
      if (box[2] - box[0] >= LEAST_SIDE && box[3] - box[1] >= LEAST_SIDE) setBox(box);
    };
    svg.setPointerCapture(event.pointerId);
    svg.addEventListener("pointermove", onMove);
    for (const end of ["pointerup", "pointercancel"])
      svg.addEventListener(end, () => svg.removeEventListener("pointermove", onMove), { once: true });
  });
}
