// Which language the page speaks, remembered in this browser. Words are in words.js.

import { WORDS } from "./words.js";
import { h } from "./dom.js";

const KEY = "helmetwatch.lang";
let lang = localStorage.getItem(KEY) === "en" ? "en" : "zh";

export function english() {
  return lang === "en";
}

export function setLang(next) {
  lang = next;
  localStorage.setItem(KEY, next);
  document.documentElement.lang = next === "en" ? "en" : "zh-CN";
}

function fill(text, vars) {
  return text.replace(/\{(\w+)\}/g, (_, name) => String(vars[name] ?? ""));
}

// The words for `key` in the page's language, with {name} replaced by vars.name.
export function t(key, vars = {}) {
  const pair = WORDS[key];
  if (!pair) console.error(`no words for ${key}`);
  return pair ? fill(pair[english() ? 1 : 0], vars) : key;
}

export function known(key) {
  return key in WORDS;
}

// The word for one of a set of codes from the server; a code we do not know is shown as it is.
export function term(group, code) {
  return known(`${group}.${code}`) ? t(`${group}.${code}`) : String(code);
}

// Chinese first with English beside it, for the buttons that matter; English alone on the English page.
export function both(key) {
  const [zh, en] = WORDS[key];
  return english() ? [en] : [zh, " ", h("span", { class: "sub", lang: "en" }, en)];
}

setLang(lang);
