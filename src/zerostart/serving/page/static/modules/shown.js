/** Which findings of the picture on the stage are shown, and how the inspector's decisions change them. */

import { state } from "./state.js";

/** The detectors on the stage, refined first. */
export const enginesShown = () =>
  (state.engines === "both" ? ["refined", "baseline"] : [state.engines]).filter(
    (engine) => state.current?.answer?.detections[engine],
  );

/**
 * The detector whose findings are judged. The other one is there to compare with: judged as well, one object would be two
 * in the data set that verdicts become.
 */
export const judgedEngine = () => (state.current.answer.detections.refined ? "refined" : "baseline");

/** Where the slider stands, else the threshold that was chosen on val. */
export const thresholdOf = (engine) => state.threshold[engine] ?? state.current.answer.thresholds[engine];

/** All detections of a detector by descending score, each with its number from 1. */
export function ranked(engine) {
  const found = state.current.answer.detections[engine] ?? [];
  return [...found].sort((a, b) => b.score - a.score).map((detection, index) => ({ ...detection, number: index + 1 }));
}

/**
 * Findings of a detector at its threshold and in the views that are on. What was judged stays whatever the slider says.
 * Each has `decision` (or undefined), and `class` and `box` as corrected; `was` is the detector's own class.
 */
export function shown(engine) {
  const { verdict } = state.current;
  return ranked(engine)
    .map((detection) => {
      const decision = verdict.decisions.get(detection.id);
      return withCritical({ ...detection, engine, ...decision, decision: decision?.decision, was: detection.class });
    })
    .filter(({ decision, score, view }) => decision || (score >= thresholdOf(engine) && !state.hiddenViews.has(view)));
}

/** Boxes that the inspector added. */
export const added = () => state.current.verdict.added.map((entry) => withCritical({ ...entry, id: entry.key, isAdded: true }));

const withCritical = (finding) => ({ ...finding, critical: state.current.answer.critical.includes(finding.class) });

/** The detection with an id as the server sent it, with its detector; null for an added box. */
export function detection(id) {
  for (const [engine, found] of Object.entries(state.current?.answer?.detections ?? {})) {
    const one = found.find((entry) => entry.id === id);
    if (one) return { ...one, engine };
  }
  return null;
}
