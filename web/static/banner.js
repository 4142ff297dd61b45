// The banner that cannot be missed: how many alerts nobody has, how bad, how long; in the tab's title and icon too.

import { h, ticking } from "./dom.js";
import { t, term } from "./i18n.js";
import { age } from "./time.js";
import { severityShape, severityWord, who } from "./pieces.js";

const COLOURS = { 1: "#4aa3ff", 2: "#facc15", 3: "#f97316", 4: "#e0142f" };
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function icon(fill, n) {
  const label = n ? `<text x='16' y='23' font-size='20' font-weight='bold' text-anchor='middle' font-family='sans-serif' fill='%23000'>${n > 9 ? "9+" : n}</text>` : "";
  return `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><circle cx='16' cy='16' r='15' fill='${fill.replace("#", "%23")}'/>${label}</svg>`;
}

export class Banner {
  #store;
  #open;
  #phase = false;
  #feedLive = true;

  constructor(store, open) {
    this.#store = store;
    this.#open = open;
    this.root = h("section", { class: "banner", id: "banner" });
    store.addEventListener("alerts", () => this.render());
    this.render();
  }

  // The alert to look at first, or null.
  get worstId() {
    return this.#store.untaken()[0]?.id ?? null;
  }

  setFeed(live) {
    if (live === this.#feedLive) return;
    this.#feedLive = live;
    this.render();
  }

  render() {
    const waiting = this.#store.untaken();
    const worst = waiting[0];
    this.root.className = `banner ${worst ? `alarm s${worst.severity}` : "quiet"} ${this.#feedLive ? "" : "unsure"}`;
    this.root.dataset.count = String(waiting.length);
    const unsure = this.#feedLive ? null : h("span", { class: "unsure-note" }, t("banner_unsure"));
    if (!worst) {
      this.root.replaceChildren(h("strong", {}, t("banner_none")), unsure ?? "");
    } else {
      const oldest_us = Math.min(...waiting.map((alert) => alert.occurred_us));
      this.root.replaceChildren(
        severityShape(worst.severity),
        h("strong", {}, t(waiting.length === 1 ? "banner_one" : "banner_count", { n: waiting.length })),
        h("span", { class: "worst" }, `${severityWord(worst)} · ${term("kind", worst.kind)} · ${who(worst)}`),
        ticking(() => t("banner_oldest", { age: age(oldest_us) }), { class: "oldest" }),
        unsure ?? "",
        h("button", { type: "button", class: "act", id: "open-first", onclick: () => this.#open(worst.id) }, t("open_first"), h("kbd", {}, "U")),
      );
    }
    this.tick();
  }

  // Once a second: the title and the icon blink between two faces while an alert waits.
  tick() {
    const waiting = this.#store.untaken();
    this.#phase = !this.#phase && !calm.matches;
    const name = t("brand");
    const title = waiting.length === 0 ? name
      : this.#phase ? t("title_look") : `${t("title_wait", { n: waiting.length })}${name}`;
    if (document.title !== title) document.title = title;
    const fill = !this.#feedLive ? "#9aa7b8" : waiting.length === 0 ? "#2f9e6e" : this.#phase ? "#ffffff" : COLOURS[waiting[0].severity];
    const href = icon(fill, waiting.length);
    const link = document.getElementById("favicon");
    if (link.getAttribute("href") !== href) link.setAttribute("href", href);
  }
}
