/** Correct a finding or add one: the form in the list, and the box that it shares with the handles on the picture. */

import { byId, make } from "./dom.js";
import { LEAST_SIDE } from "./geometry.js";
import { state, tell } from "./state.js";
import { detection } from "./shown.js";
import { spaced, word } from "./words.js";

const SIDES = ["left", "top", "right", "bottom"];
/** Of a new box, as a part of the picture's sides. */
const NEW_BOX = 0.25;

/** Begin with a finding (an entry of shown.js), or with a new box where it is null; what is open is finished first. */
export function startEditing(finding) {
  if ((finding && state.editing?.id === finding.id) || !settle()) return;
  const { width, height } = state.current.answer.picture;
  const middle = [width * (0.5 - NEW_BOX / 2), height * (0.5 - NEW_BOX / 2), width * (0.5 + NEW_BOX / 2), height * (0.5 + NEW_BOX / 2)];
  state.editing = {
    id: finding?.id ?? "new",
    isAdded: finding === null || Boolean(finding.isAdded),
    engine: finding && !finding.isAdded ? detection(finding.id).engine : null,
    class: finding?.class ?? "",
    box: finding ? [...finding.box] : middle.map(Math.round),
    sentence: finding?.sentence ?? "",
    /** Whether there is something to lose. */
    isTouched: false,
  };
  state.editing.form = form(state.editing);
  state.selected = finding?.id ?? null;
  tell("selected");
  state.editing.form.querySelector("select").focus();
}

/** The handles or the fields moved the box. */
export function setBox(box) {
  if (!state.editing) return; // a new answer came while a handle was held
  state.editing.box = box;
  state.editing.isTouched = true;
  const fields = state.editing.form.querySelectorAll("input[type=number]");
  box.forEach((value, index) => {
    if (fields[index] !== document.activeElement) fields[index].value = Math.round(10 * value) / 10;
  });
  tell("edited");
}

function form(editing) {
  const { width, height } = state.current.answer.picture;
  const limits = [width, height, width, height];
  const choice = make(
    "select",
    { required: true, "data-key": "edit class", onchange: (event) => (editing.class = event.target.value) },
    make("option", { value: "", disabled: true, selected: !editing.class }, word("choose_class")),
    state.current.answer.classes.map((name) => make("option", { value: name, selected: name === editing.class }, spaced(name))),
  );
  const side = (name, index) =>
    make(
      "label",
      {},
      word(`side_${name}`),
      make("input", {
        type: "number",
        "data-key": `edit ${name}`,
        min: 0,
        max: limits[index],
        step: "any",
        required: true,
        value: Math.round(10 * editing.box[index]) / 10,
        oninput: (event) => typed(index, event.target.valueAsNumber),
      }),
    );
  return make(
    "form",
    {
      class: "edit",
      oninput: () => (editing.isTouched = true),
      onsubmit: (event) => (event.preventDefault(), focusFinding(apply())),
      onkeydown: (event) => event.key === "Escape" && leave(),
    },
    make("p", { class: "faint" }, word(editing.id === "new" ? "edit_new_hint" : "edit_hint")),
    make("label", {}, word("class"), choice),
    make("div", { class: "sides" }, SIDES.map(side)),
    editing.isAdded &&
      make(
        "label",
        {},
        word("edit_sentence"),
        make("input", { type: "text", maxlength: 500, "data-key": "edit sentence", value: editing.sentence, oninput: (event) => (editing.sentence = event.target.value) }),
      ),
    make(
      "div",
      { class: "row" },
      make("button", { class: "primary", "data-key": "edit done" }, word("done")),
      make("button", { type: "button", "data-key": "edit cancel", onclick: leave }, word("cancel")),
    ),
  );
}

function typed(index, value) {
  const box = [...state.editing.box];
  box[index] = value;
  const { width, height } = state.current.answer.picture;
  if (box.every(Number.isFinite) && box[0] >= 0 && box[1] >= 0 && box[2] <= width && box[3] <= height && box[2] - box[0] >= LEAST_SIDE && box[3] - box[1] >= LEAST_SIDE)
    setBox(box);
}

/** Put what is open into the verdict; returns the key of its finding. */
function apply() {
  const { id, isAdded, class: name, box, sentence } = state.editing;
  const { verdict } = state.current;
  let key = id;
  if (id === "new") key = verdict.add({ class: name, box, sentence }).key;
  else if (isAdded) verdict.change(id, { class: name, box, sentence });
  else {
    const was = detection(id);
    const isMoved = was.box.some((value, index) => Math.abs(value - box[index]) > 1e-6);
    verdict.correct(id, { class: name === was.class ? undefined : name, box: isMoved ? box : undefined });
  }
  state.editing = null;
  state.selected = key;
  tell("verdict");
  return key;
}

/**
 * Finish what is open before something else takes its place: what was changed goes into the verdict, what was not is left.
 * False where the form lacks something, which the browser then says beside the field.
 */
export function settle() {
  const { editing } = state;
  if (!editing) return true;
  if (editing.isTouched) {
    if (editing.form.isConnected && !editing.form.reportValidity()) return false; // not there: its detector is off the stage
    apply();
  } else {
    state.editing = null;
    tell("selected");
  }
  return true;
}

/** The same for a new answer, which does not wait: a new box without a class stays open. */
export function settleForAnswer() {
  if (state.editing?.isTouched && state.editing.class) apply();
}

export function leave() {
  if (!state.editing) return;
  const { id } = state.editing;
  state.editing = null;
  tell("selected");
  if (id === "new") byId("add").focus();
  else focusFinding(id);
}

export function focusFinding(id) {
  [...byId("findings").querySelectorAll("[data-key]")].find((element) => element.dataset.key === id)?.focus();
}
