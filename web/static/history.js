// Every alert that ever was, newest first: the filters are in the address, the desk does the searching.

import * as api from "./api.js";
import { h, save, toast } from "./dom.js";
import { t, term } from "./i18n.js";
import { reason, severityBadge, tags, who } from "./pieces.js";
import { supervises } from "./role.js";
import { clock, delay } from "./time.js";

const PAGE = 50;
const EXPORT_PAGE = 200;

// The filters: name in the address and in the API, and how it is asked for.
const FIELDS = {
  state: { codes: ["pending", "open", "acknowledged", "resolved", "cancelled"], group: "state" },
  severity: { codes: ["4", "3", "2", "1"], group: "severity" },
  kind: { codes: ["head_strike", "fall", "helmet_lost", "sos", "not_worn"], group: "kind" },
  rider: {}, helmet: {}, owner: {}, city: { among: "cities" }, station: { among: "stations" },
  from: { type: "date" }, to: { type: "date" },
  test: { codes: ["true", "false"], group: "drills" },
};

// Days of the page's own time zone; the last one counts whole.
function query({ from, to, ...rest }) {
  const day_us = (text, plus) => {
    const [year, month, day] = text.split("-").map(Number);
    return new Date(year, month - 1, day + plus).getTime() * 1000;
  };
  const found = { ...rest };
  if (from) found.from_us = day_us(from, 0);
  if (to) found.to_us = day_us(to, 1);
  return found;
}

export class History {
  #go;
  #asked = 0;
  #shown = null;
  #known = null;
  #unfolded = false;
  #form = h("form", { class: "history-filters", onsubmit: (event) => event.preventDefault() });
  #rows = h("tbody", {});
  #note = h("p", { class: "muted", role: "status" });
  #csv = h("a", { class: "small csv", download: true });
  #json = h("button", { type: "button", class: "small json", onclick: () => this.#export() });
  #store;
  #more = h("button", { type: "button", class: "more" });
  root = h("section", { class: "view history", id: "history", hidden: true });

  // `go(filters)` puts filters into the address; the view follows from there.
  constructor(store, go) {
    this.#store = store;
    this.#go = go;
    this.#more.addEventListener("click", () => this.#load(this.#more.dataset.before));
    // Where riders belong to may be known later than the view is opened, and changes with the riders file.
    store.addEventListener("aside", ({ detail }) => detail.includes("places") && this.#shown && !this.#form.contains(document.activeElement) && this.#fill());
  }

  // Shows what the address asks for; `again` where the page speaks another language now.
  show(filters, again = false) {
    const wanted = Object.fromEntries(Object.entries(filters).filter(([name, value]) => name in FIELDS && value));
    const key = JSON.stringify(wanted);
    if (key === this.#shown?.key && !again) return;
    this.#shown = { key, wanted };
    this.#known = null;
    this.root.setAttribute("aria-label", t("history"));
    this.#more.textContent = t("more");
    this.#csv.textContent = t("export_csv");
    this.#json.textContent = t("export_json");
    this.#csv.href = api.csvUrl(query(wanted));
    this.#fill();
    const head = ["occurred", "severity", "rider", "state", "owner", "to_acknowledge", "why"].map((name) => h("th", { scope: "col", class: name === "to_acknowledge" ? "number" : null }, t(name)));
    this.root.replaceChildren(h("div", { class: "view-head" }, h("h1", {}, t("history")), this.#fold(), this.#form, this.#note),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("history") }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, head)), this.#rows), this.#more));
    this.#load(null);
  }

  // The form anew, where it would offer other places than it does.
  #fill() {
    const known = JSON.stringify(this.#store.places);
    if (known === this.#known) return;
    this.#known = known;
    this.#form.replaceChildren(...Object.entries(FIELDS).map(([name, field]) => this.#field(name, field, this.#shown.wanted[name] ?? "")),
      h("button", { type: "button", class: "small", onclick: () => this.#go({}) }, t("clear")),
      h("button", { type: "button", class: "small", onclick: () => this.#load(null) }, t("reload")),
      ...(supervises(this.#store) ? [this.#csv, this.#json] : [h("button", { type: "button", class: "small csv", disabled: true }, t("export_csv"), " ", t("supervisors_only"))]), h("label", { class: "small file" }, t("verify"), h("input", { type: "file", name: "pack", class: "unseen", accept: ".json,application/json", onchange: verify })));
  }

  // On a phone the filters are folded, until somebody wants them or some are set.
  #fold() {
    const mark = () => {
      button.setAttribute("aria-expanded", String(this.#unfolded));
      this.#form.classList.toggle("folded", !this.#unfolded);
    };
    const button = h("button", { type: "button", class: "small fold", onclick: () => { this.#unfolded = !this.#unfolded; mark(); } }, t("filters_show"));
    this.#unfolded ||= Object.keys(this.#shown.wanted).length > 0;
    mark();
    return button;
  }

  #field(name, field, value) {
    const change = (event) => {
      const next = { ...this.#shown.wanted, [name]: event.target.value.trim() };
      if (!next[name]) delete next[name];
      this.#go(next);
    };
    const label = t(`field.${name}`);
    const places = field.among ? this.#store.placeNames(field.among, this.#shown.wanted.city, value) : [];
    if (places.length) {
      return h("label", {}, `${label} `, h("select", { name, onchange: change }, h("option", { value: "" }, t("any")),
        places.map((each) => h("option", { value: each, selected: each === value }, each))));
    }
    if (!field.codes) return h("label", {}, `${label} `, h("input", { name, value, type: field.type ?? "text", onchange: change, autocomplete: "off" }));
    const option = (code, words) => h("option", { value: code, selected: code === value }, words);
    return h("label", {}, `${label} `, h("select", { name, onchange: change },
      option("", t("any")), field.codes.map((code) => option(code, term(field.group, code)))));
  }

  // All that the filters find as one JSON file: as the list has it, without telephone numbers, like the CSV.
  async #export() {
    this.#json.disabled = true;
    try {
      const alerts = [];
      for (let before; before !== null;) {
        const page = await api.listAlerts({ ...query(this.#shown.wanted), limit: EXPORT_PAGE, ...(before ? { before } : {}) });
        alerts.push(...page.alerts.map(({ rider, ...alert }) => ({ ...alert, rider: rider && { ...rider, phone: undefined } })));
        before = page.next;
      }
      save(new Blob([JSON.stringify({ alerts }, null, 1)], { type: "application/json" }), "alerts.json");
    } catch (error) {
      toast(error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }), "bad");
    }
    this.#json.disabled = false;
  }

  async #load(before) {
    const { wanted } = this.#shown;
    this.#asked += 1;
    const asked = this.#asked;
    this.root.setAttribute("aria-busy", "true");
    try {
      const page = await api.listAlerts({ ...query(wanted), limit: PAGE, ...(before ? { before } : {}) });
      if (asked !== this.#asked) return;
      if (!before) this.#rows.replaceChildren();
      this.#rows.append(...page.alerts.map(row));
      this.#more.hidden = page.next === null;
      if (page.next !== null) this.#more.dataset.before = page.next;
      const n = this.#rows.children.length;
      this.#note.textContent = n ? t(page.next === null ? "found_all" : "found_some", { n }) : t("found_none");
    } catch (error) {
      if (asked === this.#asked) this.#note.textContent = error.status === 0 ? t("unreachable") : t("failed", { detail: error.message });
    } finally {
      if (asked === this.#asked) this.root.removeAttribute("aria-busy");
    }
  }
}

// Says whether an incident pack comes from this desk, unchanged.
async function verify(event) {
  const [file] = event.target.files;
  if (!file) return;
  try {
    const { genuine } = await api.verifyPack(await file.text());
    toast(`${file.name}: ${t(genuine ? "pack_genuine" : "pack_changed")}`, genuine ? "good" : "bad");
  } catch (error) {
    toast(error.status === 400 ? t("pack_changed") : error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }), "bad");
  }
  event.target.value = "";
}

// The time to acknowledge is that of the statistics: from the opening, 0 where the countdown still ran.
function row(alert) {
  return h("tr", { "data-id": alert.id },
    h("td", {}, h("a", { href: `#alert=${alert.id}` }, clock(alert.occurred_us))),
    h("td", {}, h("span", { class: "tags" }, severityBadge(alert), term("kind", alert.kind), tags(alert))),
    h("td", {}, who(alert), alert.rider && h("small", { class: "muted" }, ` ${alert.helmet}`)),
    h("td", {}, h("span", { class: `state ${alert.state}` }, term("state", alert.state)), alert.resolution && h("small", {}, ` ${term("reason", alert.resolution.reason)}`)),
    h("td", {}, alert.owner ?? alert.resolution?.by ?? "–"),
    h("td", { class: "number" }, alert.acknowledged_us === null ? "–" : delay(alert.opened_us ?? alert.acknowledged_us, alert.acknowledged_us)),
    h("td", { class: "why" }, reason(alert)));
}
