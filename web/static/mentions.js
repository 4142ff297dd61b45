// Where a colleague has put our name into a note: under the banner until the alert has been opened, also after a reload.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { TEST } from "./pieces.js";
import { clock } from "./time.js";

// One mention in words; `open` null for plain text.
export function mentionWords({ by, who, note, test, at_us }) {
  return `${test ? `${TEST} ` : ""}${clock(at_us)} ${t("mentioned", { by, who, note })}`;
}

export class Mentions {
  #store;
  #key;
  #list = h("ul", {});
  root = h("section", { class: "mentions", id: "mentions", role: "status", hidden: true }, this.#list);

  // `open(id)` opens an alert.
  constructor(store, open) {
    this.#store = store;
    this.#key = `helmetwatch.mentions.${store.me.name}`;
    const kept = JSON.parse(localStorage.getItem(this.#key) ?? "{}");
    store.mentions = kept.mentions ?? [];
    store.mentionedUntil_us = kept.until_us ?? 0;
    store.addEventListener("mentions", () => {
      localStorage.setItem(this.#key, JSON.stringify({ mentions: store.mentions, until_us: store.mentionedUntil_us }));
      this.render();
    });
    this.#list.addEventListener("click", (event) => {
      const id = event.target.closest("[data-mention]")?.dataset.mention;
      if (id) open(id);
    });
    this.render();
  }

  render() {
    this.root.hidden = this.#store.mentions.length === 0;
    this.root.setAttribute("aria-label", t("mentions"));
    this.#list.replaceChildren(...this.#store.mentions.map((each) => h("li", {},
      h("span", {}, "@ ", mentionWords(each)), h("button", { type: "button", class: "small", "data-mention": each.id }, t("open")))));
  }
}
