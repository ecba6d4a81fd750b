/** Tags of the whole picture by one of the engines, at the thresholds that were chosen on val or at the published ones. */

import { scoreBar } from "./bars.js";
import { byId, make, redraw } from "./dom.js";
import { icon, viewIcon } from "./icons.js";
import { inspect } from "./picture.js";
import { on, state } from "./state.js";
import { number, spaced, viewName, word } from "./words.js";

let thresholds = "in_use";

export function startTags() {
  on("current tab language", draw);
}

function draw() {
  if (!state.current || state.tab !== "tags") return;
  const { tags, missing } = state.current.answer;
  const absent = missing.find(({ part }) => part === "tagger");
  redraw(byId("tags"), engines(), tags ? body(tags) : make("p", { class: "said" }, absent?.sentence ?? word("tags_off")));
}

function engines() {
  const { answer } = state.current;
  const choice = byId("tag-engine");
  const button = (engine) =>
    make(
      "button",
      {
        type: "button",
        class: "chip",
        "data-key": `engine ${engine}`,
        "aria-pressed": String((answer.tags && choice.value === engine) || false),
        onclick: () => {
          choice.value = engine;
          inspect(state.current);
        },
      },
      engine,
    );
  return make(
    "div",
    { class: "row" },
    make("span", {}, word("tags_ask")),
    ["standard", "hd", "auto"].map(button),
  );
}

function body(tags) {
  const limits = tags.thresholds[thresholds];
  const other = tags.thresholds[thresholds === "in_use" ? "published" : "in_use"];
  const window = Object.fromEntries(tags.tags.map((tag) => [tag.tag, tag.window]));
  const names = Object.keys(tags.scores).sort((a, b) => tags.scores[b] - tags.scores[a]);
  const given = names.filter((name) => tags.scores[name] >= limits[name]);
  const choice = (kind) =>
    make(
      "label",
      { class: "segment" },
      make("input", {
        type: "radio",
        name: "tag-thresholds",
        "data-key": `thresholds ${kind}`,
        checked: thresholds === kind,
        onchange: () => {
          thresholds = kind;
          draw();
        },
      }),
      make("span", {}, word(`thresholds_${kind}`)),
    );
  const row = (name) =>
    make(
      "tr",
      { class: given.includes(name) && "chosen" },
      make(
        "th",
        { scope: "row" },
        given.includes(name) && [icon("accept"), make("span", { class: "hidden" }, word("given"))],
        spaced(name),
        window[name] && make("span", { class: "faint where" }, viewIcon(window[name]), viewName(window[name])),
      ),
      make("td", {}, make("span", { class: "value-text" }, number(tags.scores[name])), scoreBar(tags.scores[name], limits[name], other?.[name])),
      make("td", { class: "number" }, number(limits[name])),
    );
  return [
    make("p", {}, word("tags_said", { engine: tags.engine, novelty: number(tags.novelty, 1), count: tags.windows })),
    make("fieldset", { class: "segments" }, make("legend", { class: "hidden" }, word("thresholds")), ["in_use", "published"].map(choice)),
    make(
      "table",
      { class: "tag-table" },
      make("thead", {}, make("tr", {}, ["tag", "score", "limit"].map((name) => make("th", { scope: "col", class: name !== "tag" && "number" }, word(`tags_${name}`))))),
      make("tbody", {}, names.map(row)),
    ),
    make("p", { class: "faint" }, word("tags_note")),
  ];
}
