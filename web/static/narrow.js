// What the list is narrowed to beside its filter: severity, city, station, drills. It stands in the address, and
// only the list follows it: the banner and the siren are for every alert.

import { h } from "./dom.js";
import { t, term } from "./i18n.js";

const FIELDS = {
  severity: { codes: ["2", "3", "4"] },
  city: { among: "cities" },
  station: { among: "stations" },
  test: { codes: ["false", "true"] },
};

// Whether an alert fits `only`, {severity, city, station, test}.
export function fits(alert, only) {
  return (!only.severity || alert.severity >= Number(only.severity)) && (!only.city || alert.rider?.city === only.city)
    && (!only.station || alert.rider?.station === only.station) && (!only.test || String(alert.test) === only.test);
}

export class Narrow {
  #store;
  #go;
  #open = false;
  #button = h("button", { type: "button", class: "filter narrow-button", onclick: () => this.#toggle() });
  #fields = h("div", { class: "narrow", role: "group" });
  #only = {};

  // `go(only)` puts it into the address.
  constructor(store, go) {
    this.#store = store;
    this.#go = go;
    store.addEventListener("aside", ({ detail }) => detail.includes("places") && !this.#fields.contains(document.activeElement) && this.render(this.#only));
  }

  get parts() {
    return [this.#button, this.#fields];
  }

  render(only) {
    this.#only = only;
    const n = Object.keys(only).length;
    this.#open ||= n > 0;
    this.#button.replaceChildren(t("narrow"), n ? h("span", { class: "count" }, ` ${n}`) : "");
    this.#button.setAttribute("aria-expanded", String(this.#open));
    this.#fields.hidden = !this.#open;
    this.#fields.setAttribute("aria-label", t("narrow"));
    this.#fields.replaceChildren(...Object.entries(FIELDS).map(([name, field]) => this.#field(name, field)).filter(Boolean),
      h("button", { type: "button", class: "small", id: "narrow-clear", hidden: n === 0, onclick: () => this.#go({}) }, t("clear")));
  }

  #toggle() {
    this.#open = !this.#open;
    this.render(this.#only);
  }

  #field(name, field) {
    const value = this.#only[name] ?? "";
    const codes = field.codes ?? this.#store.placeNames(field.among, this.#only.city, value);
    if (!codes.length) return null;
    const words = { severity: (code) => (code === "4" ? term("severity", 4) : t("at_least", { severity: term("severity", code) })), test: (code) => term("drills", code) }[name] ?? String;
    const onchange = (event) => {
      const { [name]: _, ...rest } = this.#only;
      this.#go(event.target.value ? { ...rest, [name]: event.target.value } : rest);
    };
    return h("label", {}, h("span", {}, t(`field.${name}`)), h("select", { name, onchange }, h("option", { value: "" }, t("any")),
      codes.map((code) => h("option", { value: code, selected: code === value }, words(code)))));
  }
}
