/** Cases on record that look like a finding, like the whole picture, or as a sentence says. */

import { pictureAddress, Problem, request } from "./api.js";
import { byId, make, redraw } from "./dom.js";
import { detection } from "./shown.js";
import { on, state } from "./state.js";
import { number, spaced, word } from "./words.js";

const COUNTS = [5, 10, 20, 50];
const FILTERS = ["zone", "damage", "severity"];

const asked = { of: "finding", text: "", k: 5, zone: "", damage: "", severity: "", ownPart: false };
let answer = { hits: null, said: "", key: "" };
let running = null;
const addresses = new Map();

export function startCases() {
  on("current selected tab language settings", refresh);
}

function refresh() {
  if (state.current && state.tab === "cases") find();
}

/** What is asked of the server now; null where nothing can be. */
function query() {
  const filters = { k: asked.k, zone: asked.zone, damage: asked.damage, severity: asked.severity };
  if (asked.ownPart) filters.part = byId("part").value.trim();
  if (asked.of === "sentence") return asked.text.trim() ? { text: asked.text.trim(), ...filters } : null;
  const inspection = { inspection: state.current.id, number: state.current.answer.number };
  const found = asked.of === "finding" && state.selected && detection(state.selected);
  if (asked.of === "finding" && !found) return null;
  return found ? { ...inspection, detection: found.id, ...filters } : { ...inspection, ...filters };
}

async function find() {
  const given = query();
  const key = JSON.stringify([asked.of, given]);
  if (key === answer.key && !answer.failed) return draw();
  running?.abort();
  if (!given) {
    answer = { hits: null, said: word(asked.of === "sentence" ? "cases_no_text" : "cases_no_finding"), key };
    return draw();
  }
  const own = (running = new AbortController());
  answer = { hits: answer.hits, said: word("cases_looking"), key };
  draw();
  try {
    const { hits } = await request("/v1/cases", { given, signal: own.signal });
    answer = { hits, said: hits.length ? "" : word("cases_none"), key };
  } catch (reason) {
    if (reason.name === "AbortError") return;
    if (!(reason instanceof Problem)) throw reason;
    answer = { hits: null, said: reason.message, key, failed: true };
  }
  draw();
}

function draw() {
  redraw(
    byId("cases"),
    controls(),
    make("p", { class: "said", role: "status" }, answer.said),
    make("ol", { class: "case-list" }, (answer.hits ?? []).map(card)),
  );
}

function controls() {
  const of = (kind) =>
    make(
      "label",
      { class: "segment" },
      make("input", { type: "radio", name: "cases-of", "data-key": `cases of ${kind}`, checked: asked.of === kind, onchange: () => set("of", kind) }),
      make("span", {}, word(`cases_of_${kind}`)),
    );
  const select = (name, label, options) =>
    make("label", {}, label, make("select", { "data-key": `cases ${name}`, onchange: (event) => set(name, event.target.value) }, options));
  const option = (value, text, current) => make("option", { value, selected: String(value) === String(current) }, text);
  const part = byId("part").value.trim();
  return make(
    "div",
    { class: "case-controls" },
    make("fieldset", { class: "segments" }, make("legend", { class: "hidden" }, word("cases_of")), ["finding", "picture", "sentence"].map(of)),
    asked.of === "sentence" &&
      make(
        "label",
        { class: "wide" },
        word("cases_text"),
        make("input", { type: "search", "data-key": "cases text", maxlength: 300, value: asked.text, onchange: (event) => set("text", event.target.value) }),
      ),
    make(
      "div",
      { class: "selects" },
      FILTERS.map((name) => select(name, word(name), [option("", word("any"), asked[name]), ...state.filters[name].map((value) => option(value, spaced(value), asked[name]))])),
      select("k", word("cases_k"), COUNTS.map((count) => option(count, String(count), asked.k))),
    ),
    make(
      "label",
      { class: "check" },
      make("input", {
        type: "checkbox",
        "data-key": "cases part",
        checked: asked.ownPart && part !== "",
        disabled: part === "",
        onchange: (event) => set("ownPart", event.target.checked),
      }),
      part ? word("cases_part", { part }) : word("cases_part_none"),
    ),
  );
}

function set(name, value) {
  asked[name] = value;
  find();
}

function card(hit) {
  const image = make("img", { alt: "", loading: "lazy", width: 160, height: 160 });
  load(hit.picture, image);
  return make(
    "li",
    { class: "case" },
    image,
    make(
      "div",
      {},
      make("p", { class: "context" }, hit.context),
      make("p", { class: "faint" }, word("cases_distance", { distance: number(hit.distance, 3) })),
    ),
  );
}

async function load(path, image) {
  if (!addresses.has(path)) addresses.set(path, pictureAddress(path));
  try {
    image.src = await addresses.get(path);
  } catch {
    addresses.delete(path); // so that it is asked for again
    image.alt = word("case_no_picture");
  }
}
