/** The views that were looked at: findings of each on or off, and a new look with some of them only. */

import { byId, make, redraw } from "./dom.js";
import { viewIcon } from "./icons.js";
import { inspect } from "./picture.js";
import { enginesShown, ranked, thresholdOf } from "./shown.js";
import { on, state, tell } from "./state.js";
import { viewName, word } from "./words.js";

export function startViews() {
  on("current shown verdict language", draw);
}

function draw() {
  const picture = state.current;
  const views = picture?.answer?.views ?? [];
  byId("views").hidden = views.length < 2;
  if (views.length < 2) return;
  const on = views.filter((view) => !state.hiddenViews.has(view));
  redraw(
    byId("views"),
    make("h3", {}, word("views")),
    make("div", { class: "chips" }, views.map(chip)),
    isSix(views) && on.length < views.length && on.length > 0
      ? make(
          "div",
          { class: "row" },
          make("button", { type: "button", "data-key": "look again", onclick: () => lookAgain(on) }, word("look_again")),
          make("span", { class: "faint" }, word("look_again_why")),
        )
      : null,
    picture.views && make("button", { type: "button", "data-key": "look all", onclick: () => lookAgain(null) }, word("look_all")),
  );
}

const isSix = (views) => views.includes("whole") && !views.some((view) => view.startsWith("tile"));

function chip(view) {
  const found = enginesShown().reduce(
    (sum, engine) => sum + ranked(engine).filter((one) => one.view === view && one.score >= thresholdOf(engine)).length,
    0,
  );
  const isOn = !state.hiddenViews.has(view);
  return make(
    "button",
    { type: "button", class: "chip", "data-key": `view ${view}`, "aria-pressed": String(isOn), onclick: () => toggle(view) },
    viewIcon(view),
    viewName(view),
    make("span", { class: "faint" }, String(found)),
  );
}

function toggle(view) {
  if (!state.hiddenViews.delete(view)) state.hiddenViews.add(view);
  tell("shown");
}

function lookAgain(views) {
  state.current.views = views;
  state.hiddenViews = new Set();
  inspect(state.current);
}
