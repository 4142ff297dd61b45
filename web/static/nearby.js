// Who could be there first: riders trained in first aid, stations and AEDs, nearest first. People call people;
// what they say is written into the timeline, so that nobody asks the same person twice.

import * as api from "./api.js";
import { h } from "./dom.js";
import { t, term } from "./i18n.js";
import { phoneLink } from "./pieces.js";
import { clock, span } from "./time.js";

// What can be said about a helper next, after what was said last.
const NEXT = { none: ["asked"], asked: ["going", "cannot"], going: ["arrived", "cannot"], arrived: [], cannot: ["asked"] };

export class Nearby {
  #record;
  #onFound;
  #asked = 0;
  #shown = null;
  #list = h("ul", { class: "helpers" });
  root = h("section", { class: "card nearby-card", id: "nearby", tabindex: -1 });

  // `record(helper, status)` writes down; `onFound({position, helpers})` puts them on the map.
  constructor(record, onFound) {
    this.#record = record;
    this.#onFound = onFound;
    this.root.setAttribute("aria-label", t("nearby"));
    this.root.append(h("h2", {}, t("nearby")), this.#list);
  }

  async load(id, final) {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const { position, helpers } = await api.getNearby(id);
      if (asked !== this.#asked) return;
      this.#onFound({ position, helpers });
      const words = position === null ? t("nearby_no_place") : helpers.length ? null : t("nearby_none");
      // A button that is rebuilt between press and release loses the click.
      const key = JSON.stringify([id, final, words, helpers.map((each) => [each.id, each.status, each.status_us, each.prompt, each.distance_m])]);
      if (key === this.#shown) return;
      this.#shown = key;
      this.#list.replaceChildren(...(words ? [h("li", { class: "muted" }, words)] : helpers.map((helper) => this.#row(helper, final))));
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#list.replaceChildren(h("li", { class: "fault" }, error.status === 0 ? t("unreachable") : t("failed", { detail: error.message })));
    }
  }

  #row(helper, final) {
    const say = async (event, status) => {
      event.target.disabled = true;
      await this.#record(helper.id, status);
      event.target.disabled = false;
    };
    // An AED cannot be asked; it is fetched.
    const next = final || helper.kind === "aed" ? [] : NEXT[helper.status ?? "none"] ?? [];
    return h("li", { "data-helper": helper.id, "data-status": helper.status ?? "" },
      h("span", { class: `helper-kind ${helper.kind}` }, term("helper", helper.kind)),
      h("span", { class: "helper-who" }, h("b", {}, helper.name), " ", distance(helper.distance_m), " ", phoneLink(helper),
        h("small", { class: "muted" }, [helper.age_s === null ? null : t("helper_seen", { span: span(helper.age_s) }), helper.note].filter(Boolean).join(" · "))),
      helper.prompt && h("span", { class: "muted" }, t(`prompt.${helper.prompt}`)),
      helper.status && h("span", { class: `helper-status ${helper.status}` }, term("help", helper.status), " ", clock(helper.status_us)),
      h("span", { class: "helper-acts" }, next.map((status) => h("button", {
        type: "button", class: "small", "data-say": status, onclick: (event) => say(event, status),
      }, t(`say.${status}`)))));
  }
}

function distance(m) {
  return h("span", { class: "distance" }, m < 1000 ? `${Math.round(m / 10) * 10} m` : `${(m / 1000).toFixed(1)} km`);
}
