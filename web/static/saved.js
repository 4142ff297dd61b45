// Views of the list that somebody has given a name: its filter and what narrows it, kept in this browser.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const KEY = "helmetwatch.views";
const NAME_MAX = 30;

function load() {
  return JSON.parse(localStorage.getItem(KEY) ?? "[]");
}

const same = (a, b) => a.filter === b.filter && JSON.stringify(Object.entries(a.only).sort()) === JSON.stringify(Object.entries(b.only).sort());

export class Saved {
  #go;
  #now = { filter: "", only: {} };
  #chips = h("span", { class: "saved" });
  #name = h("input", { name: "view-name", type: "text", maxlength: NAME_MAX, autocomplete: "off" });
  #button = h("button", { class: "small", id: "save-view" });
  #form = h("form", { class: "save-view", onsubmit: (event) => this.#save(event) }, this.#name, this.#button);

  // `go({filter, only})` puts a view into the address.
  constructor(go) {
    this.#go = go;
  }

  // The chips, and the form that makes one.
  get parts() {
    return [this.#chips, this.#form];
  }

  // `now`: {filter, only} as the list shows it.
  render(now) {
    this.#now = now;
    this.#name.placeholder = t("view_name");
    this.#name.setAttribute("aria-label", t("view_name"));
    this.#button.textContent = t("view_save");
    this.#chips.replaceChildren(...load().map((view) => h("span", { class: "saved-view" },
      h("button", { type: "button", class: "filter", "data-saved": view.name, "aria-pressed": String(same(view, now)), onclick: () => this.#go({ filter: view.filter, only: view.only }) }, "★ ", view.name),
      h("button", { type: "button", class: "small drop-view", "aria-label": t("view_drop", { name: view.name }), title: t("view_drop", { name: view.name }), onclick: () => this.#keep(load().filter((each) => each.name !== view.name)) }, "✕"))));
  }

  #save(event) {
    event.preventDefault();
    const name = this.#name.value.trim();
    if (!name) return this.#name.focus();
    this.#name.value = "";
    return this.#keep([...load().filter((each) => each.name !== name), { name, ...this.#now }]);
  }

  #keep(views) {
    localStorage.setItem(KEY, JSON.stringify(views));
    this.render(this.#now);
  }
}
