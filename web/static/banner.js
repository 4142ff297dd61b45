// The banner that cannot be missed: how many alerts nobody has, how bad, how long; in the tab's title and icon too.

import { h, ticking } from "./dom.js";
import { t, term } from "./i18n.js";
import { UNTAKEN } from "./store.js";
import { age } from "./time.js";
import { TEST, severityShape, severityWord, testMark, who } from "./pieces.js";

const COLOURS = { 1: "#4aa3ff", 2: "#facc15", 3: "#f97316", 4: "#e0142f" };
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function icon(fill, n) {
  const label = n ? `<text x='16' y='23' font-size='20' font-weight='bold' text-anchor='middle' font-family='sans-serif' fill='%23000'>${n > 9 ? "9+" : n}</text>` : "";
  return `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><circle cx='16' cy='16' r='15' fill='${fill.replace("#", "%23")}'/>${label}</svg>`;
}

export class Banner {
  #store;
  #shape = h("span", { class: "banner-shape" });
  #words = h("strong", {});
  #worst = h("span", { class: "worst" });
  #oldest = ticking(() => this.#oldestWords(), { class: "oldest" });
  #unsure = h("span", { class: "unsure-note" });
  #button;
  #storm;
  #phase = false;
  #feedLive = true;

  // `actions`: open(id), acknowledgeMany({storm}, n).
  constructor(store, actions) {
    this.#store = store;
    // Made once: a button that is rebuilt between press and release loses the click.
    this.#button = h("button", { type: "button", class: "act", id: "open-first", onclick: () => this.worstId && actions.open(this.worstId) });
    this.#storm = h("button", { type: "button", class: "act", id: "take-storm", hidden: true, onclick: () => {
      const storm = this.#untakenStorm();
      if (storm) actions.acknowledgeMany({ storm: storm.id }, storm.open);
    } });
    store.addEventListener("aside", ({ detail }) => detail.includes("storms") && this.render());
    this.root = h("section", { class: "banner", id: "banner" }, this.#shape, this.#words, this.#worst, this.#oldest, this.#unsure, this.#storm, this.#button);
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
    this.#unsure.hidden = this.#feedLive;
    this.#unsure.textContent = t("banner_unsure");
    for (const part of [this.#shape, this.#worst, this.#oldest, this.#button]) part.hidden = !worst;
    this.#words.textContent = t(["banner_none", "banner_one"][waiting.length] ?? "banner_count", { n: waiting.length });
    this.#button.replaceChildren(t("open_first"), h("kbd", {}, "U"));
    const storm = this.#untakenStorm();
    this.#storm.hidden = !storm;
    if (storm) this.#storm.replaceChildren(h("span", { class: "long" }, t("take_storm", { n: storm.open })), h("span", { class: "short" }, t("take_all", { n: storm.open })));
    if (worst) {
      this.#shape.replaceChildren(severityShape(worst.severity));
      this.#worst.replaceChildren(...[testMark(worst), ` ${severityWord(worst)} · ${term("kind", worst.kind)} · ${who(worst)}`].filter(Boolean));
    }
    this.#oldest.update();
    this.tick();
  }

  // The largest storm that calls for somebody: what opens after a person took it has been seen by nobody.
  #untakenStorm() {
    const state = (id) => this.#store.alerts.get(id)?.state;
    return this.#store.storms.filter((storm) => storm.opened_us !== null)
      .map((storm) => ({ id: storm.id, open: storm.ids.filter((id) => UNTAKEN.has(state(id))).length }))
      .filter((storm) => storm.open > 1).sort((a, b) => b.open - a.open)[0];
  }

  #oldestWords() {
    const waiting = this.#store?.untaken() ?? [];
    return waiting.length ? t("banner_oldest", { age: age(waiting.reduce((first, alert) => Math.min(first, alert.occurred_us), Infinity)) }) : "";
  }

  // Once a second: the title and the icon blink between two faces while an alert waits.
  tick() {
    const waiting = this.#store.untaken();
    this.#phase = !this.#phase && !calm.matches;
    const name = t("brand");
    const drill = waiting.length > 0 && waiting.every((alert) => alert.test) ? `${TEST} ` : "";
    const title = waiting.length === 0 ? name
      : drill + (this.#phase ? t("title_look") : `${t("title_wait", { n: waiting.length })}${name}`);
    if (document.title !== title) document.title = title;
    const fill = !this.#feedLive ? "#9aa7b8" : waiting.length === 0 ? "#2f9e6e" : this.#phase ? "#ffffff" : COLOURS[waiting[0].severity];
    const href = icon(fill, waiting.length);
    const link = document.getElementById("favicon");
    if (link.getAttribute("href") !== href) link.setAttribute("href", href);
  }
}
