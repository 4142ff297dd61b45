// Who took what out of the desk, and who was refused what: for supervisors.

import * as api from "./api.js";
import { h } from "./dom.js";
import { t, term } from "./i18n.js";
import { clock } from "./time.js";

const LINES = 20;

export class AuditTrail {
  #rows = h("ol", { class: "entries" });
  #more = h("button", { type: "button", class: "small", onclick: () => this.#load(this.#more.dataset.before) });
  #note = h("p", { class: "muted", role: "status" });
  root = h("section", { class: "card", id: "audit" });

  // To be called when the page is shown, or speaks another language.
  render() {
    this.root.replaceChildren(
      h("h2", {}, t("audit"), " ", h("button", { type: "button", class: "small", onclick: () => this.#load(null) }, t("reload"))),
      h("p", { class: "muted" }, t("audit_hint")), this.#rows, this.#note, this.#more);
    this.#more.textContent = t("more");
    this.#load(null);
  }

  async #load(before) {
    try {
      const page = await api.getAudit({ limit: LINES, ...(before ? { before } : {}) });
      if (!before) this.#rows.replaceChildren();
      this.#rows.append(...page.audit.map(row));
      this.#note.textContent = this.#rows.children.length ? "" : t("nothing_yet");
      this.#more.hidden = page.next === null;
      this.#more.dataset.before = page.next ?? "";
    } catch (error) {
      this.#note.textContent = error.status === 0 ? t("unreachable") : t("failed", { detail: error.message });
    }
  }
}

function row(line) {
  // The list on the page comes as JSON, in pages: neither says anything to people.
  const { format, limit, before, ...asked } = line.detail;
  const file = format && !(line.what === "history" && format === "json");
  return h("li", { "data-what": line.what },
    h("time", {}, clock(line.at_us)), " ", h("b", {}, term("audit", line.what), file && ` ${format.toUpperCase()}`), " ",
    h("span", { class: "actor" }, line.by), " ", h("span", { class: "muted" }, line.address),
    line.rows === null ? "" : h("span", { class: "entry-words" }, t("audit_rows", { n: line.rows.toLocaleString() })),
    h("span", { class: "entry-words muted" }, Object.entries(asked).map(([name, value]) => `${name} ${value}`).join(" · ")));
}
