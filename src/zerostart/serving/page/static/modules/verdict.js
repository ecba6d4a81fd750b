/** What the inspector decided about one picture, before and after it is saved. */

import { iou } from "./geometry.js";

/** Boxes that overlap by so much are one finding, when a picture is looked at again. */
const SAME = 0.9;

let count = 0;

export class Verdict {
  /** Detection id → {decision: accept|reject|correct, class?, box?}. */
  decisions = new Map();
  /** Boxes that no detector found: {key, class, box, sentence}. */
  added = [];
  sentence = "";
  /** Number of the verdict that the server has, null before the first. */
  number = null;
  /** True where the server does not have it yet. */
  changed = false;

  /** From GET …/verdict. */
  static from(stored) {
    const verdict = new Verdict();
    for (const { detection, decision, class: name, box } of stored.decisions ?? [])
      verdict.decisions.set(detection, compact({ decision, class: name, box }));
    for (const one of stored.added ?? []) verdict.#put(one);
    verdict.sentence = stored.sentence ?? "";
    verdict.number = stored.verdict ?? null;
    return verdict;
  }

  #put({ class: name, box, sentence }) {
    const entry = { key: `added:${(count += 1)}`, class: name, box, sentence: sentence ?? "" };
    this.added.push(entry);
    return entry;
  }

  /** Decide on a detection; the same decision a second time takes it back. */
  decide(id, decision) {
    if (this.decisions.get(id)?.decision === decision) this.decisions.delete(id);
    else this.decisions.set(id, { decision });
    this.changed = true;
  }

  /** Another class or box for a detection; with neither, it is accepted as it is. */
  correct(id, changes) {
    const given = compact(changes);
    this.decisions.set(id, Object.keys(given).length ? { decision: "correct", ...given } : { decision: "accept" });
    this.changed = true;
  }

  add(entry) {
    this.changed = true;
    return this.#put(entry);
  }

  change(key, changes) {
    Object.assign(this.added.find((entry) => entry.key === key), changes);
    this.changed = true;
  }

  remove(key) {
    this.added = this.added.filter((entry) => entry.key !== key);
    this.changed = true;
  }

  say(sentence) {
    this.sentence = sentence;
    this.changed = true;
  }

  /** The body of POST …/verdict on the inspection with a number. */
  body(number, inspector, part) {
    return compact({
      number,
      decisions: [...this.decisions].map(([detection, decision]) => ({ detection, ...decision })),
      added: this.added.map(({ class: name, box, sentence }) => compact({ class: name, box, sentence })),
      sentence: this.sentence,
      inspector,
      part,
    });
  }

  /**
   * Carry decisions over to the detections of a new answer for the same picture: their ids may have changed. A decision
   * stays with the detection of its detector, class and place; a box that was kept and is not found any more is an added one.
   */
  follow(before, after) {
    const decisions = new Map();
    for (const [id, decision] of this.decisions) {
      const engine = id.split(":")[0];
      const was = before.detections[engine]?.find((found) => found.id === id);
      if (!was) continue;
      const now = after.detections[engine]?.find((found) => found.class === was.class && iou(found.box, was.box) >= SAME);
      if (now) decisions.set(now.id, decision);
      else if (decision.decision !== "reject") this.#put({ class: decision.class ?? was.class, box: decision.box ?? was.box });
    }
    this.decisions = decisions;
  }
}

function compact(entries) {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined && value !== null && value !== ""));
}
