/** Pictures of this sitting: sent to be looked at, two at a time, and what came back. */

import { pictureAddress, Problem, request, upload } from "./api.js";
import { byId } from "./dom.js";
import { settle, settleForAnswer } from "./editing.js";
import { state, tell } from "./state.js";
import { UploadQueue } from "./upload_queue.js";
import { Verdict } from "./verdict.js";
import { number, word } from "./words.js";

export const MOST = 40;
const TRIES_WHEN_BUSY = 4;
let count = 0;

const queue = new UploadQueue(look, 2);
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

/** An entry of state.pictures; `file` is null for one that was opened by its address. */
function entry(name, file) {
  count += 1;
  return {
    key: `picture:${count}`,
    name,
    file,
    /** waiting, sending, looking, busy, done or failed. */
    status: "waiting",
    progress: 0,
    said: "",
    id: null,
    answer: null,
    /** Address of the upright picture in this browser. */
    address: null,
    verdict: new Verdict(),
    /** Why the verdict could not be saved, or null; whether it is on its way. */
    problem: null,
    isSaving: false,
    /** Names of the views to look at when six are asked for; null: all. */
    views: null,
  };
}

/** Take files in; more than MOST at once are left out. Returns how many were. */
export function take(files) {
  const taken = [...files].slice(0, MOST).map((file) => entry(file.name || word("pasted"), file));
  state.pictures.push(...taken);
  for (const picture of taken) inspect(picture);
  tell("pictures");
  return files.length - taken.length;
}

/** Look at a picture, or look again with other options; an open correction goes into its verdict first. */
export function inspect(picture) {
  if (state.current === picture) settleForAnswer();
  Object.assign(picture, { status: "waiting", progress: 0, said: "" });
  tell("pictures");
  return queue.add(picture).catch((reason) => {
    if (!(reason instanceof Problem)) throw reason;
    Object.assign(picture, { status: "failed", said: reason.message });
    tell("pictures");
  });
}

export function forget(picture) {
  state.pictures = state.pictures.filter((one) => one !== picture);
  if (picture.address) URL.revokeObjectURL(picture.address);
  if (state.current === picture) {
    state.editing = null; // goes with its picture
    show(state.pictures.find((one) => one.answer) ?? null);
  }
  tell("pictures");
}

async function look(picture) {
  const limit = state.settings?.limits?.bytes;
  if (limit && !picture.id && picture.file.size > limit)
    throw new Problem(word("too_large", { size: megabytes(picture.file.size), limit: megabytes(limit) }), 413);
  const answer = await sent(picture);
  if (state.current === picture) settleForAnswer(); // while its detections still have their ids
  if (picture.answer) picture.verdict.follow(picture.answer, answer);
  await receive(picture, answer);
  tell("looked");
  if (!state.current || state.current === picture) show(picture);
}

const megabytes = (bytes) => number(bytes / 1e6, 1);

async function sent(picture) {
  for (let tries = 1; ; tries += 1) {
    change(picture, { status: "sending", progress: 0 });
    try {
      return await upload("/v1/inspections", form(picture), (progress) =>
        change(picture, progress < 1 ? { status: "sending", progress } : { status: "looking" }),
      );
    } catch (reason) {
      if (reason.status !== 503 || reason.retryAfter === null || tries === TRIES_WHEN_BUSY) throw reason;
      change(picture, { status: "busy", said: word("busy", { seconds: reason.retryAfter }) });
      await pause(reason.retryAfter);
      change(picture, { said: "" });
    }
  }
}

function change(picture, changes) {
  Object.assign(picture, changes);
  tell("pictures");
}

function form(picture) {
  const sent = new FormData();
  if (picture.id) sent.append("id", picture.id);
  else sent.append("picture", picture.file, picture.name);
  sent.append("engine", "both");
  sent.append("tiling", byId("tiling").value);
  sent.append("tags", byId("tag-engine").value);
  if (picture.views && byId("tiling").value === "6") sent.append("views", picture.views.join(","));
  if (byId("part").value.trim()) sent.append("part", byId("part").value.trim());
  return sent;
}

/** Put an answer in, with the picture and the newest verdict that the server has for it. */
async function receive(picture, answer) {
  const isNew = picture.id !== answer.id;
  const [address, verdict] = isNew ? await Promise.all([upright(answer.id), storedVerdict(answer)]) : [picture.address, null];
  if (verdict) picture.verdict = verdict;
  change(picture, { id: answer.id, answer, address, status: "done", said: "" });
}

const upright = (id) => pictureAddress(`/v1/inspections/${id}/picture`);

/** Null where there is none. It may be on an earlier look at the picture, whose detections have ids of their own. */
async function storedVerdict(answer) {
  const address = `/v1/inspections/${answer.id}`;
  try {
    const stored = await request(`${address}/verdict`);
    const verdict = Verdict.from(stored);
    if (stored.number !== answer.number) verdict.follow(await request(address, { given: { number: stored.number } }), answer);
    return verdict;
  } catch (reason) {
    if (reason.status === 404) return null;
    throw reason;
  }
}

/** Open an inspection that the server has; raises Problem. Returns as `show`. */
export async function open(id) {
  let picture = state.pictures.find((one) => one.id === id && one.answer);
  if (!picture) {
    const answer = await request(`/v1/inspections/${id}`);
    picture = entry(answer.picture.file_name ?? id.slice(0, 12), null);
    await receive(picture, answer);
    state.pictures.push(picture);
  }
  return show(picture);
}

/**
 * Put a picture on the stage; the page's address follows, so that a reload shows it again. False where an open correction
 * lacks something: the picture on the stage stays.
 */
export function show(picture) {
  const isOther = state.current !== picture;
  const isFinished = !isOther || settle();
  if (isFinished) put(picture, isOther);
  const address = state.current ? `#/${state.current.id}` : "";
  if (location.hash !== address) history.replaceState(null, "", address || location.pathname);
  tell("current");
  tell("pictures");
  return isFinished;
}

function put(picture, isOther) {
  state.current = picture;
  if (isOther || state.editing?.id !== "new") state.editing = null;
  if (isOther) {
    state.threshold = {};
    state.hiddenViews = new Set();
  }
  state.selected = null;
}
