/** Start of the page: settings, panels, the picture of the address, the service worker. */

import { Problem, request } from "./api.js";
import { startCamera } from "./camera.js";
import { startCases } from "./cases.js";
import { byId, make, redraw } from "./dom.js";
import { startFigures } from "./figures.js";
import { startFindingsList } from "./findings_list.js";
import { startIntake } from "./intake.js";
import { startNextList } from "./next_list.js";
import { open } from "./picture.js";
import { startPictureList } from "./picture_list.js";
import { startReasons } from "./reasons.js";
import { on, state, tell } from "./state.js";
import { startTabs } from "./tabs.js";
import { startTags } from "./tags.js";
import { startVerdictPanel } from "./verdict_panel.js";
import { startViews } from "./views.js";
import { startWords, word } from "./words.js";

const RETRY_SECONDS = 5;

startWords();
for (const start of [startIntake, startCamera, startPictureList, startTabs, startFigures, startViews, startFindingsList, startReasons, startCases, startTags, startVerdictPanel])
  start();
remember("part");
remember("inspector");
remember("tiling");
remember("tag-engine");
on("language settings", drawHeader);
on("current", drawMissing);
window.addEventListener("hashchange", openFromAddress);
document.querySelector(".skip").addEventListener("click", skip);
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/sw.js");
connect();

/** Not by the address, which names the picture on the stage. */
function skip(event) {
  event.preventDefault();
  const target = byId(state.current ? "findings-title" : "choose");
  target.scrollIntoView({ block: "nearest" });
  target.focus();
}

/** What the inspector chose stays for the next sitting on this machine. */
function remember(id) {
  const [field, key] = [byId(id), `zerostart-${id}`];
  const kept = localStorage.getItem(key);
  if (kept !== null) field.value = kept;
  field.addEventListener("change", () => {
    localStorage.setItem(key, field.value);
    tell("settings");
  });
}

/** Settings from the server; without it the page says so and asks again. */
async function connect() {
  try {
    state.settings = await request("/v1/settings");
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason;
    sayOffline(reason.status === 0 ? word("offline") : reason.message);
    setTimeout(connect, 1000 * (reason.retryAfter ?? RETRY_SECONDS));
    return;
  }
  sayOffline("");
  tell("settings");
  startNextList();
  await openFromAddress();
  try {
    state.filters = await request("/v1/cases/filters");
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason; // no index: `missing` says how to build it
  }
  redraw(byId("parts"), state.filters.part.map((value) => make("option", { value })));
  tell("settings");
}

function sayOffline(sentence) {
  byId("offline").hidden = !sentence;
  byId("offline").textContent = sentence;
}

function drawHeader() {
  const versions = Object.entries(state.settings?.versions ?? {}).filter(([, version]) => version);
  byId("versions").textContent = versions.map(([part, version]) => `${word(`version_${part}`)} ${version}`).join(" · ");
  drawMissing();
}

/** Parts that the server lacks, with its sentence on how to make them. */
function drawMissing() {
  const missing = state.current?.answer?.missing ?? state.settings?.missing ?? [];
  redraw(byId("missing"), missing.map(({ sentence }) => make("p", { class: "notice" }, sentence)));
}

async function openFromAddress() {
  const id = /^#\/([0-9a-f]{64})$/.exec(location.hash)?.[1];
  if (!id || state.current?.id === id) return;
  try {
    await open(id);
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason;
    byId("intake-said").textContent = reason.message;
  }
}
