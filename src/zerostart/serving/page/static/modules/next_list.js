/** Pictures that are worth a verdict most, as the server ranks them. */

import { Problem, request } from "./api.js";
import { byId, make, redraw } from "./dom.js";
import { open } from "./picture.js";
import { on, state } from "./state.js";
import { number, word } from "./words.js";

const LIMIT = 20;
let entries = [];

export function startNextList() {
  on("current language", draw);
  on("saved looked", fetchNext);
  byId("next-block").open = innerWidth >= 760;
  fetchNext();
}

async function fetchNext() {
  try {
    entries = await request("/v1/next", { given: { limit: LIMIT } });
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason;
    entries = []; // the banner says that the server is away
  }
  draw();
}

function draw() {
  byId("next-block").hidden = entries.length === 0;
  redraw(byId("next"), entries.map(row));
}

function row({ id, file_name: name, uncertainty, novelty }) {
  return make(
    "li",
    { class: `picture${state.current?.id === id ? " current" : ""}` },
    make(
      "button",
      { type: "button", class: "open", "data-key": `next ${id}`, onclick: () => choose(id) },
      make("span", { class: "name" }, name ?? id.slice(0, 12)),
      make("span", { class: "faint" }, facts(uncertainty, novelty)),
    ),
  );
}

async function choose(id) {
  try {
    if (!(await open(id))) return;
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason;
    byId("intake-said").textContent = reason.message;
    return;
  }
  if (innerWidth < 760) byId("stage-title").focus();
}

function facts(uncertainty, novelty) {
  const parts = [uncertainty !== null && word("uncertainty", { value: number(uncertainty) }), novelty !== null && word("novelty", { value: number(novelty, 1) })];
  return parts.filter(Boolean).join(" · ");
}
