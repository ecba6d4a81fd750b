/** The verdict on the picture: how much is judged, a sentence, and saving it. */

import { Problem, request } from "./api.js";
import { byId } from "./dom.js";
import { settle } from "./editing.js";
import { show } from "./picture.js";
import { judgedEngine, shown } from "./shown.js";
import { on, state, tell } from "./state.js";
import { word } from "./words.js";

export function startVerdictPanel() {
  on("current", () => {
    byId("sentence").value = state.current?.verdict.sentence ?? "";
  });
  on("current shown verdict language pictures", draw);
  byId("sentence").addEventListener("input", (event) => {
    state.current.verdict.say(event.target.value);
    tell("verdict");
  });
  byId("save").addEventListener("click", save);
  byId("next-picture").addEventListener("click", () => {
    if (show(following())) byId("stage-title").focus();
  });
  window.addEventListener("beforeunload", (event) => {
    if (state.editing?.isTouched || state.pictures.some(({ verdict }) => verdict.changed)) event.preventDefault();
  });
}

function draw() {
  const { current } = state;
  byId("verdict-panel").hidden = !current;
  if (!current) return;
  const { verdict, problem } = current;
  const findings = shown(judgedEngine());
  const judged = findings.filter(({ decision }) => decision).length;
  byId("verdict-count").textContent = word("judged_of", { judged, all: findings.length, added: verdict.added.length });
  const isSaved = !problem && !current.isSaving && !verdict.changed && verdict.number !== null;
  const said = problem ?? (verdict.changed ? word("not_saved") : isSaved ? word("saved", { number: verdict.number }) : "");
  if (byId("verdict-said").textContent !== said) byId("verdict-said").textContent = said;
  byId("save").disabled = current.isSaving;
  byId("next-picture").hidden = !following();
  byId("verdict-said").classList.toggle("error", problem !== null);
  byId("verdict-said").classList.toggle("good", isSaved);
}

/** The next picture of the list, from the one on the stage on, that has no verdict yet. */
function following() {
  const at = state.pictures.indexOf(state.current);
  const others = [...state.pictures.slice(at + 1), ...state.pictures.slice(0, Math.max(at, 0))];
  return others.find(({ answer, verdict }) => answer && verdict.number === null);
}

async function save() {
  if (!settle()) return;
  const picture = state.current; // another one may be on the stage when the answer comes
  const { id, answer, verdict } = picture;
  const body = verdict.body(answer.number, byId("inspector").value.trim(), byId("part").value.trim());
  verdict.changed = false; // what is changed while the answer is on its way counts again
  Object.assign(picture, { isSaving: true, problem: null });
  tell("verdict");
  try {
    verdict.number = (await request(`/v1/inspections/${id}/verdict`, { body })).verdict;
  } catch (reason) {
    verdict.changed = true;
    if (!(reason instanceof Problem)) throw reason;
    picture.problem = reason.message;
  } finally {
    picture.isSaving = false;
    tell("verdict");
  }
  tell("saved");
}
