// How the messages about the alerts in the list fare: a few signs in each row, asked for as rows come into the list.

import * as api from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { FINAL } from "./store.js";

const AT_ONCE = 100; // What the desk answers in one go.
const GATHER_MS = 400;
const AGAIN_MS = 4000; // In a storm of messages every page asks so seldom.
const SIGNS = [["failed", "✗"], ["delivered", "✓"], ["waiting", "…"]];

// "✉ ✓2 ✗1" with the words for whoever points at it or hears it; null where there is nothing to say or left to do.
export function toldSigns(alert, told) {
  const some = told && !FINAL.has(alert.state) ? SIGNS.filter(([name]) => told[name] > 0) : [];
  if (!some.length) return null;
  const words = `${t("ledger")}: ${some.map(([name]) => t(`told.${name}`, { n: told[name] })).join(t("comma"))}`;
  return h("span", { class: "told", title: words }, h("span", { class: "unseen" }, words),
    h("span", { "aria-hidden": "true" }, "✉", some.map(([name, sign]) => h("span", { class: name === "failed" ? "bad-words" : "" }, ` ${sign}${told[name]}`))));
}

export class Told {
  #store;
  #shown;
  #known = new Set();
  #timer = 0;
  #again = 0;

  // `shown()`: ids of the live alerts in the list.
  constructor(store, shown) {
    this.#store = store;
    this.#shown = shown;
    store.addEventListener("told", ({ detail }) => {
      for (const id of detail.ids) this.#known.add(id);
      if (detail.stale) this.#again ||= setTimeout(() => this.#anew(), AGAIN_MS * (0.75 + Math.random() / 2));
    });
  }

  // Asks, soon, for what is not known yet.
  want() {
    this.#timer ||= setTimeout(() => this.#ask(), GATHER_MS);
  }

  #anew() {
    this.#again = 0;
    this.#known.clear();
    this.want();
  }

  async #ask() {
    const missing = this.#shown().filter((id) => !this.#known.has(id)).slice(0, AT_ONCE);
    const found = missing.length ? await api.getTold(missing).catch(() => null) : null;
    this.#timer = 0;
    if (!found) return;
    // What the feed told meanwhile is newer.
    this.#store.putTold(Object.fromEntries(Object.entries(found.told).filter(([id]) => !this.#known.has(id))));
    this.want();
  }
}
