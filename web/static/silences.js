// Maintenance: messages about minor and moderate alerts of some helmets are held back for a while. What it would
// cover is shown before it begins, and never covers serious or critical alerts nor a rider's SOS.

import * as api from "./api.js";
import { h, ticking, toast } from "./dom.js";
import { t } from "./i18n.js";
import { forSupervisors, supervises } from "./role.js";
import { clock, now_us, span } from "./time.js";

const MINUTES = [30, 60, 240, 480, 1440, 10080];

// Silences that hold now.
export function holding(silences) {
  return silences.filter((each) => each.ended_us === null && each.until_us > now_us());
}

export class Silences {
  #store;
  #scope = null; // The scope that was previewed; only that one can begin.
  #form = h("form", { class: "silence-form", onsubmit: (event) => this.#submit(event), oninput: (event) => this.#changed(event) });
  #places = h("span", { class: "silence-places" });
  #preview = h("p", { role: "status", class: "silence-preview" });
  #list = h("ul", { class: "brief silences" });
  #title = h("h2", {});
  #hint = h("p", { class: "muted" });
  root = h("section", { class: "card", id: "silences" }, this.#title, this.#hint, this.#list, this.#form);

  constructor(store) {
    this.#store = store;
    store.addEventListener("aside", ({ detail }) => {
      if (detail.includes("silences")) this.#show();
      if (detail.includes("places") && !this.#places.contains(document.activeElement)) this.#offer();
    });
  }

  // To be called when the page is shown, or speaks another language.
  render() {
    this.#title.textContent = t("silences");
    this.#hint.textContent = t("silences_hint");
    if (!supervises(this.#store)) {
      this.#form.replaceChildren(forSupervisors("silence"));
      return this.#show();
    }
    this.#form.replaceChildren(
      h("label", { class: "wide-field" }, h("span", {}, t("silence_helmets")), h("input", { name: "helmets", autocomplete: "off", placeholder: "SF-000001, SF-000002" })),
      this.#places,
      h("label", {}, h("span", {}, t("silence_for")), h("select", { name: "minutes" }, MINUTES.map((n) => h("option", { value: n, selected: n === 60 }, span(n * 60))))),
      h("label", { class: "wide-field" }, h("span", {}, t("silence_reason")), h("input", { name: "reason", maxlength: 500, autocomplete: "off" })),
      h("div", { class: "silence-acts" }, h("button", { class: "act", name: "preview" }, t("silence_preview")), h("button", { class: "act primary", name: "start", disabled: true }, t("silence_start"))),
      this.#preview);
    this.#places.replaceChildren();
    this.#offer();
    this.#forget();
    this.#show();
  }

  // Cities and stations to choose from; they may be known later than the page is opened.
  #offer() {
    const chosen = this.#read();
    const choice = (name, values) => values.length > 0 && h("label", {}, h("span", {}, t(`field.${name}`)), h("select", { name },
      h("option", { value: "" }, t("any")), values.map((value) => h("option", { value, selected: value === chosen[name] }, value))));
    this.#places.replaceChildren(...["city", "station"].map((name) => choice(name, this.#store.placeNames(name === "city" ? "cities" : "stations", "", chosen[name]))).filter(Boolean));
  }

  #read() {
    const field = (name) => this.#form.elements[name]?.value.trim() ?? "";
    return { helmets: field("helmets").split(/[\s,，、;；]+/).filter(Boolean), city: field("city"), station: field("station") };
  }

  #changed(event) {
    if (!["reason", "minutes"].includes(event.target.name)) this.#forget();
  }

  #forget() {
    this.#scope = null;
    this.#form.elements.start.disabled = true;
    this.#preview.textContent = "";
  }

  async #submit(event) {
    event.preventDefault();
    if (event.submitter?.name === "start" && this.#scope) return this.#start();
    const scope = this.#read();
    if (!scope.helmets.length && !scope.city && !scope.station) return this.#say(t("silence_nothing"), "fault");
    try {
      const found = await api.previewSilence(scope);
      this.#scope = scope;
      const names = found.names.slice(0, 5).join(t("comma")) + (found.helmets > 5 ? " …" : "");
      this.#say(t("silence_covers", { n: found.helmets, names, live: found.alerts_live }) + ` ${found.never}`, "");
      this.#form.elements.start.disabled = found.helmets === 0;
    } catch (error) {
      this.#failed(error);
    }
  }

  async #start() {
    const { minutes, reason } = this.#form.elements;
    if (!reason.value.trim()) {
      reason.focus();
      return this.#say(t("silence_why"), "fault");
    }
    try {
      const made = await api.startSilence({ ...this.#scope, minutes: Number(minutes.value), reason: reason.value.trim() });
      this.#store.putAside({ silences: [made, ...this.#store.silences] });
      this.render();
      toast(t("silence_started", { clock: clock(made.until_us) }), "good");
    } catch (error) {
      this.#failed(error);
    }
  }

  async #end(id) {
    try {
      const ended = await api.endSilence(id);
      this.#store.putAside({ silences: this.#store.silences.map((each) => (each.id === id ? ended : each)) });
    } catch (error) {
      this.#failed(error);
    }
  }

  #say(text, tone) {
    this.#preview.className = `silence-preview ${tone}`;
    this.#preview.textContent = text;
  }

  #failed(error) {
    this.#say(error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }), "fault");
  }

  #show() {
    const now = holding(this.#store.silences);
    this.#list.replaceChildren(...(now.length ? now.map((each) => h("li", { "data-silence": each.id },
      h("b", {}, [each.city, each.station, each.helmets.join(t("comma"))].filter(Boolean).join(" · ")), h("span", {}, each.reason),
      h("span", { class: "muted" }, t("silence_by", { by: each.by, clock: clock(each.from_us) })),
      ticking(() => t("silence_left", { span: span((each.until_us - now_us()) / 1e6) }), { class: "warn" }),
      supervises(this.#store) && h("button", { type: "button", class: "small", onclick: () => this.#end(each.id) }, t("silence_end"))))
      : [h("li", { class: "muted" }, t("silences_none"))]));
  }
}
