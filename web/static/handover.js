// What the next shift has to know: what nobody has, what somebody has but left alone, who has what, what was closed.

import * as api from "./api.js";
import { calmly, copy, h, ticking } from "./dom.js";
import { t, term } from "./i18n.js";
import { mentionWords } from "./mentions.js";
import { ageOf, phoneLink, reason, severityBadge, severityWord, tags, TEST, who } from "./pieces.js";
import { FINAL, UNTAKEN, compare } from "./store.js";
import { age, clock, now_us } from "./time.js";

const OLD_US = 10 * 60 * 1e6; // A person who has an alert and did nothing for ten minutes may have forgotten it.
const LISTED = 100;

function touched_us(alert) {
  return alert.touched_us ?? alert.acknowledged_us;
}

function leftAlone(alerts) {
  return alerts.filter((alert) => alert.state === "acknowledged" && now_us() - touched_us(alert) > OLD_US);
}

function byOwner(alerts, name) {
  const owners = new Map();
  for (const alert of alerts) owners.set(name(alert), [...(owners.get(name(alert)) ?? []), alert]);
  return [...owners].sort(([, a], [, b]) => b.length - a.length);
}

export class Handover {
  #store;
  #refresh;
  #asking = false;
  #old = 0; // How many the view shows as left alone.
  #escalated = []; // [{id, tier, told_us, people}], as the desk last said.
  #body = h("div", { class: "handover-body" });
  root = h("section", { class: "view handover", id: "handover", hidden: true });

  constructor(store) {
    this.#store = store;
    this.#refresh = calmly(this.#body, () => this.#show());
    store.addEventListener("alerts", () => this.root.hidden || this.#refresh());
    store.addEventListener("mentions", () => this.root.hidden || this.#refresh());
    for (const news of ["deliveries", "alerts"]) store.addEventListener(news, () => this.root.hidden || this.#ask());
  }

  show() {
    this.root.setAttribute("aria-label", t("handover"));
    this.root.replaceChildren(
      h("div", { class: "view-head" }, h("h1", {}, t("handover")), h("button", { type: "button", class: "small", id: "copy-handover", onclick: () => copy(this.#text(), t("copied_text")) }, t("copy_handover"))),
      this.#body);
    this.#show();
    this.#ask();
  }

  // Time alone makes an alert one that somebody left alone: no event says so.
  tick() {
    if (!this.root.hidden && leftAlone([...this.#store.alerts.values()]).length !== this.#old) this.#refresh();
  }

  // Who was told because nobody took an alert; asked for at most once in two seconds.
  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      this.#escalated = (await api.getHandover()).escalated;
      if (!this.root.hidden) this.#refresh();
    } catch {
      // The strip says where the desk cannot be reached; the rest of the view does without.
    }
    setTimeout(() => (this.#asking = false), 2000);
  }

  #sorted() {
    const all = [...this.#store.alerts.values()].sort(compare);
    const taken = all.filter((alert) => alert.state === "acknowledged");
    const old = leftAlone(taken).sort((a, b) => touched_us(a) - touched_us(b));
    return { untaken: all.filter((alert) => UNTAKEN.has(alert.state)), taken, old, escalated: this.#escalated.filter(({ id }) => this.#store.alerts.has(id)).map((each) => ({ ...each, alert: this.#store.alerts.get(each.id) })),
      closed: all.filter((alert) => FINAL.has(alert.state)) };
  }

  #show() {
    const { untaken, taken, old, escalated, closed } = this.#sorted();
    this.#old = old.length;
    const owners = byOwner(taken, (alert) => alert.owner);
    this.#body.replaceChildren(
      section("hand_untaken", untaken, "hand_untaken_none", "bad"),
      section("hand_escalated", escalated.map(({ alert }) => alert), "hand_escalated_none", "bad", escalated),
      section("hand_old", old, "hand_old_none", "warn"),
      mentioned(this.#store.mentions),
      h("section", { class: "card" }, h("h2", {}, t("hand_owners", { n: taken.length })),
        owners.length ? owners.map(([owner, alerts]) => [h("h3", {}, `${owner} (${alerts.length})`), list(alerts)]) : h("p", { class: "muted" }, t("hand_owners_none"))),
      h("section", { class: "card" }, h("h2", {}, t("hand_closed", { n: closed.length })), closedTable(closed)));
  }

  // The same as plain text, for a message or a paper book.
  #text() {
    const { untaken, taken, old, escalated, closed } = this.#sorted();
    const line = (alert) => `- ${alert.test ? `${TEST} ` : ""}${clock(alert.occurred_us)} ${severityWord(alert)} ${term("kind", alert.kind)} ${who(alert)} ${alert.rider?.phone ?? ""} ${alert.owner ?? ""}: ${reason(alert)}`;
    const { mentions } = this.#store;
    const part = (key, alerts) => [t(key, { n: alerts.length }), ...alerts.slice(0, LISTED).map(line), ""];
    return [`${t("handover")} ${clock(now_us())}`, "", ...part("hand_untaken", untaken), ...part("hand_escalated", escalated.map(({ alert }) => alert)), ...part("hand_old", old), ...part("hand_owners", taken), ...(mentions.length ? [t("hand_mentions", { n: mentions.length }), ...mentions.map((each) => `- ${mentionWords(each)}`), ""] : []), t("hand_closed", { n: closed.length })].join("\n");
  }
}

// `told`: for each alert who was told and when, where that is the point.
function section(key, alerts, none, tone, told = []) {
  return h("section", { class: `card ${alerts.length ? tone : ""}`, "data-part": key }, h("h2", {}, t(key, { n: alerts.length })),
    alerts.length ? list(alerts, told) : h("p", { class: "muted" }, t(none)));
}

function list(alerts, told = []) {
  return h("ul", { class: "brief" }, alerts.slice(0, LISTED).map((alert, i) => h("li", {},
    severityBadge(alert), h("a", { href: `#alert=${alert.id}` }, h("b", {}, who(alert)), " ", term("kind", alert.kind)),
    phoneLink(alert.rider), tags(alert), ageOf(alert.occurred_us),
    alert.state === "acknowledged" && ticking(() => t("touched", { span: age(touched_us(alert)) }), { class: "muted" }),
    told[i] && h("span", { class: "warn" }, t(told[i].people.length ? "told_at" : "told_tier", { tier: told[i].tier + 1, clock: clock(told[i].told_us), to: told[i].people.join(t("comma")) })),
    alert.owner && h("span", { class: "owner" }, alert.owner))),
  alerts.length > LISTED && h("li", { class: "muted" }, t("not_listed", { n: alerts.length - LISTED })));
}

// What colleagues have asked us in notes and we have not looked at; nothing where there is nothing.
function mentioned(mentions) {
  if (!mentions.length) return "";
  return h("section", { class: "card warn", "data-part": "hand_mentions" }, h("h2", {}, t("hand_mentions", { n: mentions.length })),
    h("ul", { class: "brief" }, mentions.map((each) => h("li", {}, h("a", { href: `#alert=${each.id}` }, mentionWords(each))))));
}

function closedTable(closed) {
  if (!closed.length) return h("p", { class: "muted" }, t("empty_closed"));
  const ends = byOwner(closed, (alert) => (alert.resolution ? term("reason", alert.resolution.reason) : term("state", "cancelled")));
  return h("table", { class: "grid narrow" }, h("tbody", {}, ends.map(([words, alerts]) =>
    h("tr", {}, h("th", { scope: "row" }, words), h("td", { class: "number" }, String(alerts.length))))));
}
