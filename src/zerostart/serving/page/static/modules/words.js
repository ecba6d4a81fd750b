/** English and Spanish: every sentence of the page comes from words/en.json or words/es.json. */

import { byId } from "./dom.js";
import { tell } from "./state.js";

const LANGUAGES = ["en", "es"];
const KEPT = "zerostart-language";

async function load(language) {
  const answer = await fetch(new URL(`../words/${language}.json`, import.meta.url));
  return answer.json();
}

const dictionaries = Object.fromEntries(await Promise.all(LANGUAGES.map(async (name) => [name, await load(name)])));

let language = preferred();

function preferred() {
  const kept = localStorage.getItem(KEPT);
  if (LANGUAGES.includes(kept)) return kept;
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

/** The sentence of a key with its {places} filled. With `count`, `key_one` or `key_other` as the language's plural asks. */
export function word(key, places = {}) {
  const full = "count" in places ? `${key}_${new Intl.PluralRules(language).select(places.count) === "one" ? "one" : "other"}` : key;
  const sentence = dictionaries[language][full] ?? full;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in places ? String(places[name]) : whole));
}

/** A number with a fixed number of decimals, as the language writes it. */
export function number(value, digits = 2, signed = false) {
  const style = { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: signed ? "exceptZero" : "auto" };
  return new Intl.NumberFormat(language, style).format(value).replace("-", "−");
}

/** The name of a view; tiles of a grid are numbered. */
export function viewName(view) {
  const tile = /^tile (\d+)$/.exec(view);
  return tile ? word("view_tile", { number: tile[1] }) : (dictionaries[language][`view_${view}`] ?? view);
}

/** A name from a vocabulary file, such as rear_bumper, in readable form. */
export const spaced = (name) => String(name).replaceAll("_", " ");

function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-word-label]"))
    element.setAttribute("aria-label", word(element.dataset.wordLabel));
}

export function startWords() {
  const choice = byId("language");
  choice.value = language;
  choice.addEventListener("change", () => {
    language = choice.value;
    localStorage.setItem(KEPT, language);
    translate();
    tell("language");
  });
  translate();
}
