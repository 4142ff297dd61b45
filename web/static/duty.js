// The duty list: who has ridden for how long without a real rest, the longest first.

import { calmly, h } from "./dom.js";
import { t } from "./i18n.js";
import { bar } from "./pieces.js";
import { dutyLevel, dutyNow, DUTY_LISTED } from "./riding.js";
import { clock, hours } from "./time.js";

const COLUMNS = ["duty_rider", "duty_worked", "duty_since", "duty_now", "duty_uncertain"];
const NUMBERS = new Set(["duty_worked", "duty_since", "duty_uncertain"]);
const TONE = { over: "bad-words", near: "warn", "": "" };

export class DutyList {
  #store;
  #details;
  #opened = false;
  #summary = h("summary", {});
  #body = h("div", { class: "duty-body scroll", tabindex: 0, role: "region" });
  root = h("details", { class: "duty", id: "duty" }, this.#summary, this.#body);

  // `details(helmet id)` shows all of a helmet.
  constructor(store, details) {
    this.#store = store;
    this.#details = details;
    const refresh = calmly(this.#body, () => this.render());
    store.addEventListener("aside", ({ detail }) => detail.includes("duty") && refresh());
  }

  render() {
    const { duty } = this.#store;
    this.root.hidden = duty === null;
    if (duty === null) return;
    const { over, warned } = duty;
    // Somebody is due a rest: shown at once, and left to people from then on.
    if (!this.#opened && over + warned > 0) this.#opened = this.root.open = true;
    this.#body.setAttribute("aria-label", t("duty"));
    this.#summary.replaceChildren(h("b", {}, t("duty")), " ",
      over ? h("span", { class: "bad-words" }, t("duty_over", { n: over })) : "", over && warned ? " · " : "",
      warned ? h("span", { class: "warn" }, t("duty_near", { n: warned })) : "",
      over + warned ? "" : h("span", { class: "muted" }, t("duty_fine")));
    this.#body.replaceChildren(
      duty.riders.length ? h("table", { class: "grid" },
        h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col", class: NUMBERS.has(name) ? "number" : null }, t(name))))),
        h("tbody", {}, duty.riders.map((each) => this.#row(each, duty)))) : h("p", { class: "muted" }, t("duty_none")),
      h("p", { class: "muted" }, duty.next === null ? "" : `${t("duty_more", { n: DUTY_LISTED })} `, t("duty_note")));
  }

  #row(each, duty) {
    const level = dutyLevel(each, duty);
    return h("tr", { "data-duty": each.helmet },
      h("td", {}, h("button", { type: "button", class: "link", onclick: () => this.#details(each.helmet) }, each.rider ?? each.helmet), each.rider && h("small", { class: "muted" }, ` ${each.helmet}`)),
      h("td", { class: "number" }, h("span", { class: TONE[level] }, hours(each.worked_s, true), level && ` · ${t(`duty_level.${level}`)}`),
        bar(each.worked_s / duty.limit_s, `small-bar ${{ over: "bad", near: "warn", "": "plain" }[level]}`, duty.warn_s / duty.limit_s)),
      h("td", { class: "number" }, clock(each.since_us).slice(0, -3)),
      h("td", {}, dutyNow(each)),
      h("td", { class: "number" }, each.uncertain_s >= 60 ? hours(each.uncertain_s) : "–"));
  }
}
