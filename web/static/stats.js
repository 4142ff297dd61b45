// How well the desk and the detector do: small pictures, with the numbers and their n beside them.

import * as api from "./api.js";
import { h } from "./dom.js";
import { t, term } from "./i18n.js";
import { bar } from "./pieces.js";
import { fineSpan, now_us } from "./time.js";

const DAYS = [1, 7, 30, 90];
const FALSE = ["helmet_dropped", "road_bump", "device_fault"];

export class Statistics {
  #go;
  #asked = 0;
  #shown = null;
  #body = h("div", { class: "stats-body" });
  #note = h("p", { class: "muted", role: "status" });
  root = h("section", { class: "view stats", id: "stats", hidden: true });

  constructor(go) {
    this.#go = go;
  }

  // `given`: {days} of the address.
  show(given) {
    const days = DAYS.includes(Number(given.days)) ? Number(given.days) : 30;
    this.root.setAttribute("aria-label", t("stats"));
    this.root.replaceChildren(
      h("div", { class: "view-head" }, h("h1", {}, t("stats")), h("div", { class: "filters", role: "group", "aria-label": t("period") },
        DAYS.map((n) => h("button", { type: "button", class: "filter", "aria-pressed": String(n === days), onclick: () => this.#go({ days: String(n) }) }, t("days", { n })))), this.#note),
      this.#body);
    if (this.#shown) this.#fill(this.#shown);
    this.#load(days);
  }

  async #load(days) {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      // Up to now by the desk's clock: a page that lags would leave out what came in a second ago.
      const found = await api.getStatistics(Math.round(now_us()) - days * 86400e6);
      if (asked !== this.#asked) return;
      this.#note.textContent = t("stats_of", { n: found.alerts, drills: found.drills });
      this.#fill(found);
    } catch (error) {
      if (asked === this.#asked) this.#note.textContent = error.status === 0 ? t("unreachable") : t("failed", { detail: error.message });
    }
  }

  #fill(found) {
    this.#shown = found;
    this.#body.replaceChildren(toAcknowledge(found), ends(found), falseAlarms(found), detectors(found.detectors));
  }
}

function percent(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)} %`;
}

function seconds(value) {
  return value === null ? "–" : fineSpan(value);
}

function line(label, share, words, tone, mark) {
  return h("tr", {}, h("th", { scope: "row" }, label), h("td", { class: "bar-cell" }, bar(share, tone, mark)), h("td", { class: "number" }, words));
}

function table(rows) {
  return h("table", { class: "bars" }, h("tbody", {}, rows));
}

function toAcknowledge(found) {
  const time = found.time_to_acknowledge_s;
  const scale = time.max || 1;
  const row = (key, value) => line(t(key), value === null ? null : value / scale, seconds(value), "plain");
  return h("section", { class: "card", "data-stat": "acknowledge" }, h("h2", {}, t("to_acknowledge"), " ", count(time.count)),
    h("p", { class: "headline" }, h("b", {}, percent(found.within_target)), " ", t("within_target", { s: found.target_s })),
    table([line(t("share_within", { s: found.target_s }), found.within_target, percent(found.within_target), found.within_target < 0.99 ? "warn" : "good", 0.99),
      row("p50", time.p50), row("p90", time.p90), row("max", time.max)]),
    h("p", {}, t("to_resolve", { n: found.time_to_resolve_s.count, p50: seconds(found.time_to_resolve_s.p50), p90: seconds(found.time_to_resolve_s.p90) })),
    h("p", { class: "muted" }, t("target_note"), found.untaken_beyond_target > 0 && ` ${t("untaken_beyond", { n: found.untaken_beyond_target })}`));
}

function ends(found) {
  const all = Object.entries(found.resolved).map(([reason, n]) => [term("reason", reason), n, FALSE.includes(reason) ? "warn" : "plain"])
    .concat(Object.entries(found.cancelled).map(([by, n]) => [t(`cancelled_by.${by}`), n, "plain"]))
    .filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const n = all.reduce((sum, [, each]) => sum + each, 0);
  return h("section", { class: "card", "data-stat": "ends" }, h("h2", {}, t("how_ended"), " ", count(n)),
    all.length ? table(all.map(([words, each, tone]) => line(words, each / n, `${each} · ${percent(each / n)}`, tone))) : h("p", { class: "muted" }, t("nothing_yet")));
}

function falseAlarms(found) {
  return h("section", { class: "card", "data-stat": "false" }, h("h2", {}, t("false_alarms"), " ", count(found.judged)),
    h("p", { class: "headline" }, h("b", {}, percent(found.false_alarm_share)), " ", t("false_of", { n: found.false_alarms, judged: found.judged })),
    found.judged ? table(Object.entries(found.false_alarm_share_by_reason).map(([reason, share]) => line(term("reason", reason), share, percent(share), "warn"))) : null,
    h("p", { class: "muted" }, t("judged_note")));
}

function detectors(found) {
  const head = ["detector", "n", "judged", "false_alarms", "false_share"].map((key) => h("th", { scope: "col", class: key === "detector" ? null : "number" }, t(key)));
  return h("section", { class: "card wide-card", "data-stat": "detectors" }, h("h2", {}, t("per_detector")),
    h("div", { class: "scroll-x", tabindex: 0, role: "region", "aria-label": t("per_detector") }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, found.map((each) => h("tr", {},
      h("th", { scope: "row" }, h("code", {}, each.detector || "–")), h("td", { class: "number" }, String(each.count)), h("td", { class: "number" }, String(each.judged)), h("td", { class: "number" }, String(each.false_alarms)),
      h("td", { class: "number" }, percent(each.false_alarm_share), bar(each.false_alarm_share, "warn small-bar"))))))));
}

function count(n) {
  return h("span", { class: "muted" }, `n = ${n.toLocaleString()}`);
}
