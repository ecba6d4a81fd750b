/** Reasons, similar cases, tags: one at a time. */

import { byId, make, redraw } from "./dom.js";
import { on, state, tell } from "./state.js";
import { word } from "./words.js";

const TABS = ["reasons", "cases", "tags"];

export function startTabs() {
  on("current selected language tab", draw);
  byId("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(TABS[(TABS.indexOf(state.tab) + step + TABS.length) % TABS.length]);
    byId(`tab-${state.tab}`).focus();
  });
}

function choose(name) {
  state.tab = name;
  tell("tab");
}

function draw() {
  byId("details-panel").hidden = !state.current;
  redraw(
    byId("tabs"),
    TABS.map((name) =>
      make(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "data-key": `tab ${name}`,
          "aria-controls": name,
          "aria-selected": String(name === state.tab),
          tabindex: name === state.tab ? 0 : -1,
          onclick: () => choose(name),
        },
        word(`tab_${name}`),
      ),
    ),
  );
  for (const name of TABS) byId(name).hidden = name !== state.tab;
}
