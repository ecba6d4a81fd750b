/** The findings as a list: everything that the picture shows, for keyboard and screen reader, and the inspector's decisions. */

import { byId, make, redraw } from "./dom.js";
import { startEditing } from "./editing.js";
import { icon, viewIcon } from "./icons.js";
import { added, enginesShown, judgedEngine, shown } from "./shown.js";
import { on, state, tell } from "./state.js";
import { number, spaced, viewName, word } from "./words.js";

const KEYS = { a: "accept", r: "reject" };

export function startFindingsList() {
  on("current shown selected verdict language", draw);
  byId("findings").addEventListener("keydown", onKey);
}

function draw() {
  const { current } = state;
  byId("findings-panel").hidden = !current;
  if (!current) return;
  const engines = enginesShown();
  const rows = engines.flatMap((engine) => {
    const title = engines.length > 1 && make("li", { class: "group" }, word(`engines_${engine}`));
    return [title, ...shown(engine).map(row)];
  });
  const own = added().map(row);
  const isEmpty = engines.every((engine) => shown(engine).length === 0);
  redraw(
    byId("findings"),
    isEmpty && make("li", { class: "nothing" }, word(engines.length ? "nothing_found" : "no_detector")),
    rows,
    own.length ? make("li", { class: "group" }, word("added_title")) : null,
    own,
    state.editing?.id === "new" ? make("li", { class: "finding editing" }, state.editing.form) : null,
  );
  byId("findings-count").textContent = word("findings_count", { count: engines.reduce((sum, engine) => sum + shown(engine).length, 0) });
  tools(engines);
}

function tools(engines) {
  const open = engines.flatMap(shown).filter((finding) => isJudged(finding) && !finding.decision);
  redraw(
    byId("findings-tools"),
    make(
      "button",
      { type: "button", id: "add", "data-key": "add", disabled: Boolean(state.editing) || !state.current.answer.classes.length, onclick: () => startEditing(null) },
      icon("add"),
      word("add"),
    ),
    open.length > 0 &&
      make("button", { type: "button", "data-key": "accept rest", onclick: () => acceptAll(open) }, icon("accept"), word("accept_rest", { count: open.length })),
  );
}

/** On a phone the reasons lie further down. */
function goToDetails() {
  byId("details-panel").scrollIntoView();
  byId(`tab-${state.tab}`).focus({ preventScroll: true });
}

function acceptAll(findings) {
  for (const { id } of findings) state.current.verdict.decide(id, "accept");
  tell("verdict");
}

function row(finding) {
  const { id, decision, critical, isAdded } = finding;
  const isSelected = state.selected === id;
  return make(
    "li",
    { class: ["finding", decision, critical && "critical", isSelected && "selected"].filter(Boolean).join(" "), "data-id": id },
    make(
      "button",
      { type: "button", class: "open", "data-key": id, "aria-current": isSelected ? "true" : false, onclick: () => select(id) },
      make("span", { class: "plate" }, String(finding.number ?? "+")),
      " ",
      make("span", { class: "name" }, className(finding)),
      " ",
      make("span", { class: "faint facts" }, facts(finding)),
    ),
    make("span", { class: "judge" }, isAdded ? ownButtons(finding) : isJudged(finding) ? judgeButtons(finding) : takeButton(finding)),
    isSelected && !isAdded && !state.editing
      ? make("button", { type: "button", class: "why quiet", "data-key": `${id} why`, onclick: goToDetails }, word("to_details"))
      : null,
    state.editing?.id === id ? state.editing.form : null,
  );
}

/** Score or sentence, whether it is critical, and which view found it where there was more than one. */
function facts({ isAdded, sentence, score, critical, view }) {
  const isOneOfMany = state.current.answer.views.length > 1 && view;
  return [
    isAdded ? sentence && make("span", {}, sentence) : make("span", {}, number(score)),
    critical && make("span", { class: "badge" }, icon("critical"), word("critical")),
    isOneOfMany && make("span", {}, viewIcon(view), viewName(view)),
  ];
}

function className(finding) {
  const name = spaced(finding.class);
  return finding.was && finding.was !== finding.class ? `${spaced(finding.was)} → ${name}` : name;
}

function judgeButtons(finding) {
  return ["accept", "reject", "correct"].map((decision) =>
    iconButton(finding, decision, decision, () => judge(finding, decision), String(finding.decision === decision)),
  );
}

const isJudged = ({ engine }) => engine === judgedEngine();

/** A finding of the other detector can be taken over as one of the inspector's own. */
function takeButton(finding) {
  return iconButton(finding, "add", "take_over", () => {
    state.selected = state.current.verdict.add({ class: finding.class, box: [...finding.box] }).key;
    tell("verdict");
  });
}

const ownButtons = (finding) => [
  iconButton(finding, "correct", "correct", () => startEditing(finding)),
  iconButton(finding, "remove", "remove", () => {
    state.current.verdict.remove(finding.id);
    if (state.editing?.id === finding.id) state.editing = null;
    tell("verdict");
  }),
];

function iconButton(finding, name, label, onclick, pressed = false) {
  const title = word(label);
  return make(
    "button",
    {
      type: "button",
      class: `judge-${name}`,
      "data-key": `${finding.id} ${name}`,
      title,
      tabindex: state.selected === finding.id ? 0 : -1, // of the other findings by a letter, or once they are chosen
      "aria-label": `${title}: ${finding.number ?? "+"} ${className(finding)}`,
      "aria-pressed": pressed,
      onclick,
    },
    icon(name),
  );
}

function judge(finding, decision) {
  if (decision === "correct") return startEditing(finding);
  state.current.verdict.decide(finding.id, decision);
  tell("verdict");
}

function select(id) {
  if (state.editing) return;
  state.selected = id;
  state.tab = state.tab === "tags" ? "reasons" : state.tab;
  tell("selected");
}

/** Letters and arrows count only while the keyboard is on a finding, never in a field. */
function onKey(event) {
  const place = event.target.closest(".finding");
  if (!place?.dataset.id || event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    const rows = [...byId("findings").querySelectorAll(".finding > .open")];
    rows[rows.indexOf(place.querySelector(".open")) + step]?.focus();
    return;
  }
  const finding = [...enginesShown().flatMap(shown), ...added()].find(({ id }) => id === place.dataset.id);
  const key = event.key.toLowerCase();
  if (key === "c" && (finding.isAdded || isJudged(finding))) startEditing(finding);
  else if (KEYS[key] && isJudged(finding)) judge(finding, KEYS[key]);
  else return;
  event.preventDefault();
}
