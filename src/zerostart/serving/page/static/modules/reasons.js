/** Why a finding has its class: what the detector, the class head and the text add to the logit of each class. */

import { signedBar } from "./bars.js";
import { byId, make, redraw } from "./dom.js";
import { detection } from "./shown.js";
import { on, state } from "./state.js";
import { number, spaced, word } from "./words.js";

export function startReasons() {
  on("current selected language", draw);
}

function draw() {
  const found = state.selected && detection(state.selected);
  if (!found) {
    redraw(byId("reasons"), make("p", { class: "faint" }, word(state.selected ? "reasons_added" : "reasons_none")));
    return;
  }
  const parts = Object.keys(found.logits);
  const rows = state.current.answer.classes.map((name) => {
    const values = parts.map((part) => found.logits[part][name]);
    return { name, values, sum: values.reduce((a, b) => a + b, 0) };
  });
  rows.sort((a, b) => (b.name === found.class) - (a.name === found.class) || b.sum - a.sum);
  const sentences = state.current.answer.sentences[found.class] ?? [];
  redraw(
    byId("reasons"),
    make("h3", {}, word("why_title", { class: spaced(found.class), score: number(found.score) })),
    make("p", {}, why(parts, rows)),
    table(parts, rows),
    make("p", { class: "faint" }, word(parts.length > 1 ? "logits_note" : "logits_note_baseline")),
    sentences.length > 0 && [
      make("h4", {}, word("sentences_title", { class: spaced(found.class) })),
      make("ul", { class: "sentences" }, sentences.map((sentence) => make("li", {}, sentence))),
    ],
  );
}

/** The difference to the nearest other class, and who made it. */
function why(parts, [first, second]) {
  if (!second) return "";
  const [difference, behind] = [first.sum - second.sum, first.sum < second.sum ? "_behind" : ""];
  const shares = parts.map((part, index) => `${word(`logits_${part}`)} ${number(first.values[index] - second.values[index], 2, true)}`);
  const places = { class: spaced(first.name), rival: spaced(second.name), lead: number(Math.abs(difference)) };
  return parts.length > 1 ? word(`why${behind}`, { ...places, shares: shares.join(", ") }) : word(`why_baseline${behind}`, places);
}

function table(parts, rows) {
  const columns = parts.length > 1 ? [...parts, "sum"] : parts;
  const most = Math.max(...rows.flatMap(({ values, sum }) => [...values, sum].map(Math.abs)));
  return make(
    "table",
    { class: "logits" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, word("class")), columns.map((part) => make("th", { scope: "col", class: "number" }, word(`logits_${part}`))))),
    make(
      "tbody",
      {},
      rows.map(({ name, values, sum }, index) =>
        make(
          "tr",
          { class: index === 0 && "chosen" },
          make("th", { scope: "row" }, spaced(name)),
          columns.map((part, column) => {
            const value = part === "sum" ? sum : values[column];
            return make("td", {}, make("span", { class: "value-text" }, number(value, 2, true)), signedBar(value, most, part));
          }),
        ),
      ),
    ),
  );
}
