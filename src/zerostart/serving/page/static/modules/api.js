/** Requests to the server of this page. Every failure is a Problem with one sentence. */

import { byId } from "./dom.js";
import { word } from "./words.js";

const KEPT = "zerostart-token";

export class Problem extends Error {
  /** status 0: no answer at all. retryAfter in seconds, where the server named it. */
  constructor(sentence, status, retryAfter = null) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let asking = null;

/**
 * Ask for the token; all requests that were refused meanwhile wait for one answer. `refused`: the token that a request came
 * with, or null; another one may have been given since.
 */
function askForToken(refused) {
  if (!asking && sessionStorage.getItem(KEPT) !== refused) return true;
  asking ??= new Promise((done) => {
    const dialog = byId("token");
    const onClose = () => {
      const given = byId("token-value").value.trim();
      if (given) sessionStorage.setItem(KEPT, given);
      asking = null;
      done(Boolean(given));
    };
    dialog.addEventListener("close", onClose, { once: true });
    byId("token-value").value = "";
    byId("token-said").hidden = refused === null;
    dialog.showModal();
  });
  return asking;
}

const authorization = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

async function answered(path, options = {}) {
  const token = sessionStorage.getItem(KEPT);
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...options.headers, ...authorization(token) } });
  } catch (reason) {
    if (reason.name === "AbortError") throw reason;
    throw new Problem(word("unreachable"), 0);
  }
  if (answer.status === 401 && (await askForToken(token))) return answered(path, options);
  if (!answer.ok) throw problem(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return answer;
}

function problem(status, text, retryAfter) {
  let sentence = word("refused", { status });
  try {
    const body = JSON.parse(text);
    if (typeof body.error === "string") sentence = body.error;
  } catch {
    // not JSON: a proxy's page; the status alone is said
  }
  return new Problem(sentence, status, retryAfter === null ? null : Number(retryAfter) || 1);
}

/** JSON of a GET, or of a POST when there is a body. `given` ends up in the query; lists repeat their name. */
export async function request(path, { given = {}, body, signal } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given))
    for (const one of [value].flat()) if (one !== "" && one !== null && one !== undefined) query.append(name, one);
  const address = query.size ? `${path}?${query}` : path;
  const options = { signal, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  return (await answered(address, options)).json();
}

/** A picture of the server as an address for <img>: fetched, because an <img> cannot carry the token. */
export async function pictureAddress(path, signal) {
  return URL.createObjectURL(await (await answered(path, { signal })).blob());
}

/** POST a form; `onProgress` gets 0..1 while it is sent (fetch cannot tell). */
export async function upload(path, form, onProgress) {
  const token = sessionStorage.getItem(KEPT);
  const { status, text, retryAfter } = await new Promise((done, failed) => {
    const call = new XMLHttpRequest();
    call.open("POST", path);
    for (const [name, value] of Object.entries(authorization(token))) call.setRequestHeader(name, value);
    call.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    call.addEventListener("load", () =>
      done({ status: call.status, text: call.responseText, retryAfter: call.getResponseHeader("Retry-After") }),
    );
    call.addEventListener("error", () => failed(new Problem(word("unreachable"), 0)));
    call.send(form);
  });
  if (status === 401 && (await askForToken(token))) return upload(path, form, onProgress);
  if (status < 200 || status > 299) throw problem(status, text, retryAfter);
  return JSON.parse(text);
}
