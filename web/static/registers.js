// The files of riders and of stations and AEDs: what is wrong with them, and taking a new one into use. What it would
// change is shown first, with every fault and its line; nothing is replaced before somebody says so.

import * as api from "./api.js";
import { h, toast } from "./dom.js";
import { t } from "./i18n.js";
import { forSupervisors, supervises } from "./role.js";
import { clock } from "./time.js";

const LARGEST = 8_000_000;
const LINES = [["added", "＋"], ["changed", "≠"], ["gone", "－"]];

export class Registers {
  #store;
  #shown = null; // {what, file, add, of} of the preview on the page; only that one can be taken into use.
  #state = h("div", {});
  #form = h("form", { class: "silence-form register-form", onsubmit: (event) => this.#submit(event), oninput: () => this.#forget() });
  #preview = h("div", { role: "status", class: "register-preview" });
  root = h("section", { class: "card", id: "registers" }, this.#state, this.#form, this.#preview);

  constructor(store) {
    this.#store = store;
  }

  // To be called when the page is shown, or speaks another language.
  async render() {
    const found = await api.getRegisters().catch(() => null);
    if (found) this.#show(found);
  }

  #show(found) {
    this.#state.replaceChildren(
      h("h2", {}, t("registers"), " ", h("button", { type: "button", class: "small", onclick: () => this.render() }, t("reload"))),
      h("p", {}, t("registers_known", { riders: found.riders.toLocaleString(), places: found.places.toLocaleString() })),
      found.faults.length || supervises(this.#store) ? h("p", { class: found.faults.length ? "bad-words" : "muted" }, t(found.faults.length ? "registers_faulty" : "registers_hint")) : "",
      faultList(found),
      found.trail.length ? h("ul", { class: "brief" }, found.trail.map((each) => h("li", {}, h("span", {}, clock(each.at_us)), " ", h("b", {}, each.by), " ",
        `${t(`register.${each.what}`)}: ${counts(each)}`))) : "");
    if (!supervises(this.#store)) return this.root.replaceChildren(this.#state, forSupervisors("register"));
    this.#form.hidden = found.files.length === 0;
    this.#form.replaceChildren(
      h("label", {}, h("span", {}, t("register_what")), h("select", { name: "what" }, found.files.map((what) => h("option", { value: what }, t(`register.${what}`))))),
      h("label", { class: "wide-field" }, h("span", {}, t("register_file")), h("input", { type: "file", name: "file", accept: ".csv,text/csv" })),
      h("label", { class: "check-line" }, h("input", { type: "checkbox", name: "add" }), h("span", {}, t("register_add"))),
      h("div", { class: "silence-acts" }, h("button", { class: "act", name: "preview" }, t("register_preview")),
        h("button", { class: "act primary", name: "replace", disabled: true }, t("register_replace"))));
    this.#forget();
  }

  #forget() {
    this.#shown = null;
    if (this.#form.elements.replace) this.#form.elements.replace.disabled = true;
    this.#preview.replaceChildren();
  }

  async #submit(event) {
    event.preventDefault();
    try {
      await (event.submitter?.name === "replace" ? this.#replace() : this.#look());
    } catch (error) {
      this.#forget();
      this.#say(error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }));
    }
  }

  async #look() {
    this.#forget();
    const { what, file, add } = this.#form.elements;
    const [chosen] = file.files;
    if (!chosen) return this.#say(t("register_none"));
    if (chosen.size > LARGEST) return this.#say(t("register_large"));
    const given = { what: what.value, file: await base64(chosen), add: add.checked };
    const found = await api.previewRegister(given.what, { file: given.file, add: given.add });
    this.#preview.replaceChildren(...(found.faults.length
      ? [h("p", { class: "bad-words" }, t("register_faults", { n: found.faults.length + found.more_faults })), faultList(found)]
      : changes(found)));
    if (found.faults.length || !(found.added || found.changed || found.gone)) return;
    this.#shown = { ...given, of: found.of };
    this.#form.elements.replace.disabled = false;
  }

  async #replace() {
    if (!this.#shown) return;
    const { what, ...body } = this.#shown;
    this.#form.elements.replace.disabled = true;
    this.#show(await api.replaceRegister(what, body));
    toast(t("register_done"), "good");
  }

  #say(text) {
    this.#preview.replaceChildren(h("p", { class: "fault" }, text));
  }
}

function counts(each) {
  return t("register_counts", { rows: each.rows.toLocaleString(), added: each.added, changed: each.changed, gone: each.gone });
}

function changes(found) {
  if (!found.added && !found.changed && !found.gone) return [h("p", {}, t("register_same", { n: found.rows }))];
  const list = ([name, sign]) => found[name] > 0 && h("div", { class: `register-${name}` },
    h("h3", { class: name === "gone" ? "bad-words" : "" }, t(`register_${name}`, { n: found[name] })),
    h("ul", {}, found.lines[name].map((line) => h("li", {}, `${sign} ${line}`)),
      found[name] > found.lines[name].length && h("li", { class: "muted" }, t("more_faults", { n: found[name] - found.lines[name].length }))));
  return [
    h("p", {}, h("b", {}, counts(found))),
    found.encoding === "utf-8" ? "" : h("p", { class: "warn" }, t("register_encoding", { encoding: found.encoding.toUpperCase() })),
    ...LINES.map(list).filter(Boolean).reverse(),
  ];
}

function faultList({ faults, more_faults: more }) {
  return faults.length ? h("ol", { class: "faults-list" }, faults.map((fault) => h("li", {}, h("code", {}, fault))), more > 0 && h("li", { class: "muted" }, t("more_faults", { n: more }))) : "";
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => failed(reader.error));
    reader.readAsDataURL(file);
  });
}
