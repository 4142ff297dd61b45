// The helmets as a table that can be sorted: which are offline, low on battery, not worn, or silent for long.

import * as api from "./api.js";
import { calmly, h } from "./dom.js";
import { rideState } from "./fleet.js";
import { faultWords } from "./helmet.js";
import { t, term } from "./i18n.js";
import { wearBasis, wearIsLow, wearPercent, wearShare } from "./riding.js";
import { supervises } from "./role.js";
import { hours, now_us, span } from "./time.js";

const LOW_PCT = 20;
const LONG_US = 3600 * 1e6;
const LISTED = 200;
const NUMBERS = new Set(["battery_col", "wear_rate", "speed_now", "heard_col"]);
const EXPORTED_DAYS = 31;

const TROUBLES = {
  all: () => true,
  offline: (helmet, now) => rideState(helmet, now) === "offline",
  low: (helmet) => helmet.battery_pct !== null && helmet.battery_pct < LOW_PCT,
  not_worn: (helmet, now) => helmet.worn === 1 && rideState(helmet, now) !== "offline",
  low_rate: (helmet, now, store) => wearIsLow(ridden(helmet, store)),
  silent: (helmet, now) => now - helmet.received_us > LONG_US,
  faulty: (helmet) => helmet.faults.length > 0,
  observed: (helmet, now, store) => store.observed[helmet.helmet] > now,
};

// How long a helmet was ridden today, if anything is known of it.
function ridden(helmet, store) {
  return store.riding?.byHelmet.get(helmet.helmet);
}

// What a column sorts by; what is unknown (null) comes last either way.
const COLUMNS = {
  helmet: (helmet) => helmet.helmet,
  ride: (helmet, now) => rideState(helmet, now),
  battery_col: (helmet) => helmet.battery_pct,
  wear: (helmet) => helmet.worn,
  wear_rate: (helmet, now, store) => wearShare(ridden(helmet, store)),
  speed_now: (helmet) => helmet.speed_mps,
  heard_col: (helmet) => helmet.received_us,
  faults: (helmet) => -helmet.faults.length,
};

export class HelmetTable {
  #store;
  #go;
  #find;
  #details;
  #given = {};
  #chips = h("div", { class: "filters", role: "group" });
  #search = h("input", { type: "search", name: "search", autocomplete: "off" });
  #head = h("tr", {});
  #body = h("tbody", {});
  #note = h("p", { class: "muted" });
  #export = h("span", {});
  root = h("section", { class: "helmets", id: "helmets" });

  // `go(params)` puts them into the address; `find(helmet)` shows one on the map, `details(helmet)` all of it.
  constructor(store, go, find, details) {
    this.#details = details;
    this.#store = store;
    this.#go = go;
    this.#find = find;
    this.#search.addEventListener("input", () => this.#rows());
    this.root.append(h("div", { class: "helmets-head" }, this.#chips, this.#search, this.#export), h("div", { class: "scroll", tabindex: 0, role: "region" }, h("table", { class: "grid" }, h("thead", {}, this.#head), this.#body), this.#note));
    store.addEventListener("aside", ({ detail }) => detail.includes("riding") && this.root.offsetParent && this.refresh());
    this.refresh = calmly(this.#body, () => this.#rows());
  }

  // `given`: {show, sort, down} of the address.
  render(given) {
    this.#given = given;
    const { show, sort, down } = this.#state();
    this.root.setAttribute("aria-label", t("helmets"));
    this.root.querySelector(".scroll").setAttribute("aria-label", t("helmets"));
    this.#search.setAttribute("aria-label", t("search_helmet"));
    this.#search.placeholder = t("search_helmet");
    const since = new Date(now_us() / 1000 - EXPORTED_DAYS * 86400e3).toISOString().slice(0, 10);
    this.#export.replaceChildren(supervises(this.#store) ? h("a", { class: "small csv", download: true, href: api.ridingCsvUrl(since) }, t("riding_csv"))
      : h("button", { type: "button", class: "small csv", disabled: true }, t("riding_csv"), " ", t("supervisors_only")));
    this.#chips.setAttribute("aria-label", t("filters"));
    this.#chips.replaceChildren(...Object.keys(TROUBLES).map((name) => h("button", {
      type: "button", class: "filter", "data-trouble": name, "aria-pressed": String(name === show), onclick: () => this.#go({ ...this.#given, show: name }),
    }, t(`trouble.${name}`), " ", h("span", { class: "count" }))));
    this.#head.replaceChildren(...Object.keys(COLUMNS).map((name) => h("th", { scope: "col", class: NUMBERS.has(name) ? "number" : null, "aria-sort": name === sort ? (down ? "descending" : "ascending") : null },
      h("button", { type: "button", class: "sort", "data-sort": name, title: name === "wear_rate" ? t("wear_rate_hint") : null, onclick: () => this.#go({ ...this.#given, sort: name, down: name === sort && !down ? "1" : "" }) },
        t(name), h("span", { "aria-hidden": "true" }, name === sort ? (down ? " ▼" : " ▲") : "")))));
    this.#rows();
  }

  #state() {
    const { show, sort, down } = this.#given;
    return { show: show in TROUBLES ? show : "all", sort: sort in COLUMNS ? sort : "helmet", down: down === "1" };
  }

  #rows() {
    const now = now_us();
    const { show, sort, down } = this.#state();
    const all = [...this.#store.helmets.values()];
    for (const chip of this.#chips.children) chip.querySelector(".count").textContent = all.filter((helmet) => TROUBLES[chip.dataset.trouble](helmet, now, this.#store)).length.toLocaleString();
    const text = this.#search.value.trim().toLowerCase();
    const key = COLUMNS[sort];
    const found = all.filter((helmet) => TROUBLES[show](helmet, now, this.#store) && helmet.helmet.toLowerCase().includes(text))
      .map((helmet) => [key(helmet, now, this.#store), helmet])
      .sort(([a, x], [b, y]) => (a === null) - (b === null) || (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1) || (x.helmet < y.helmet ? -1 : 1));
    this.#body.replaceChildren(...found.slice(0, LISTED).map(([, helmet]) => this.#row(helmet, now)));
    this.#note.textContent = found.length > LISTED ? t("not_listed", { n: found.length - LISTED }) : found.length ? "" : t("none_found");
  }

  #row(helmet, now) {
    const state = rideState(helmet, now);
    const long = TROUBLES.silent(helmet, now);
    const worn = ridden(helmet, this.#store);
    return h("tr", { "data-helmet": helmet.helmet },
      h("td", {}, helmet.lat_deg === null ? helmet.helmet : h("button", { type: "button", class: "link", onclick: () => this.#find(helmet) }, helmet.helmet)),
      h("td", {}, t(`ride.${state}`)),
      h("td", { class: `number ${TROUBLES.low(helmet) ? "bad-words" : ""}` }, helmet.battery_pct === null ? "–" : `${helmet.battery_pct} %`),
      h("td", { class: helmet.worn === 1 ? "worn no" : "" }, term("worn", helmet.worn)),
      h("td", { "data-cell": "wear_rate", class: `number ${wearIsLow(worn) ? "bad-words" : ""}`, title: wearBasis(worn) }, wearPercent(worn), worn && h("small", { class: "muted" }, ` ${hours(worn.worn_s + worn.not_worn_s)}`)),
      h("td", { class: "number" }, helmet.speed_mps === null || state === "offline" ? "–" : `${(helmet.speed_mps * 3.6).toFixed(0)} km/h`),
      h("td", { class: `number ${long ? "bad-words" : ""}` }, t("ago", { span: span((now - helmet.received_us) / 1e6) })),
      h("td", { class: "faults" }, h("span", {}, helmet.faults.length ? h("span", { class: "bad-words" }, faultWords(helmet)) : "",
        this.#store.observed[helmet.helmet] > now && h("span", { class: "tag late" }, t("observed")),
        h("button", { type: "button", class: "link", "data-details": helmet.helmet, "aria-label": `${t("details")} ${helmet.helmet}`, onclick: () => this.#details(helmet) }, t("details")))));
  }
}
