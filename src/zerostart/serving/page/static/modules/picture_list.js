/** The list of pictures: how far each is, what went wrong, and which is on the stage. */

import { byId, make, redraw } from "./dom.js";
import { icon } from "./icons.js";
import { forget, inspect, show } from "./picture.js";
import { on, state } from "./state.js";
import { word } from "./words.js";

export function startPictureList() {
  on("pictures verdict language", draw);
}

function draw() {
  byId("pictures-block").hidden = state.pictures.length === 0;
  redraw(byId("pictures"), state.pictures.map(row));
}

function row(picture) {
  const isCurrent = picture === state.current;
  const sending = picture.status === "sending";
  return make(
    "li",
    { class: `picture ${picture.status}${isCurrent ? " current" : ""}` },
    make(
      "button",
      {
        type: "button",
        class: "open",
        "data-key": `${picture.key} open`,
        disabled: !picture.answer,
        "aria-current": isCurrent ? "true" : false,
        onclick: () => choose(picture),
      },
      make("span", { class: "name" }, picture.name),
      make("span", { class: "faint" }, status(picture)),
    ),
    sending || picture.status === "looking"
      ? make("progress", { max: 1, "aria-label": status(picture), ...(sending ? { value: picture.progress } : {}) })
      : null,
    picture.status === "failed" && make("p", { class: "said error", role: "alert" }, picture.said),
    picture.status === "failed" &&
      make(
        "div",
        { class: "row" },
        make("button", { type: "button", "data-key": `${picture.key} retry`, onclick: () => inspect(picture) }, word("retry")),
        make(
          "button",
          { type: "button", "data-key": `${picture.key} forget`, onclick: () => forget(picture) },
          icon("remove"),
          word("forget"),
        ),
      ),
  );
}

/** On a narrow page the stage lies below the list: go there. */
function choose(picture) {
  if (show(picture) && innerWidth < 760) byId("stage-title").focus();
}

function status(picture) {
  if (picture.status === "sending") return word("sending", { percent: Math.round(100 * picture.progress) });
  if (picture.status === "busy") return picture.said;
  if (picture.status !== "done") return word(`status_${picture.status}`);
  const { detections, thresholds } = picture.answer;
  const count = detections.refined?.filter((found) => found.score >= thresholds.refined).length ?? 0;
  const judged = picture.verdict.changed ? "unsaved" : picture.verdict.number === null ? "unjudged" : "judged";
  return `${word("findings_count", { count })} · ${word(judged)}`;
}
