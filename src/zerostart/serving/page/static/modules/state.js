/**
 * What the page knows, and who is told when it changes.
 *
 * Topics: `pictures` (the list, progress), `current` (another picture or a new answer), `shown` (threshold, detector, views),
 * `selected` (a finding), `verdict`, `settings`, `language`.
 */

export const state = {
  /** GET /v1/settings, null until the server answered. */
  settings: null,
  /** GET /v1/cases/filters. */
  filters: { zone: [], damage: [], severity: [], part: [] },
  /** Entries of picture.js, in the order in which they came. */
  pictures: [],
  /** The entry on the stage. */
  current: null,
  /** refined, baseline or both. */
  engines: "refined",
  /** Of each detector, where the slider was moved: detector → 0..1. */
  threshold: {},
  /** Names of views whose findings are hidden. */
  hiddenViews: new Set(),
  /** Id of a detection, or key of an added box. */
  selected: null,
  /** Reasons, cases or tags. */
  tab: "reasons",
  /** What is being corrected or added: see editing.js. */
  editing: null,
};

const listeners = new Map();

export function on(topics, listener) {
  for (const topic of topics.split(" ")) listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

export function tell(topic) {
  for (const listener of listeners.get(topic) ?? []) listener();
}
