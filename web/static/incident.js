// One alert on one screen: who and phone, why, state and what to do, times, place, trace, timeline, evidence.

import * as api from "./api.js";
import { Checklist } from "./checklist.js";
import { h, ticking } from "./dom.js";
import { both, english, t, term } from "./i18n.js";
import { nextStep } from "./escalation.js";
import { ledger } from "./ledger.js";
import { Nearby } from "./nearby.js";
import { ageOf, countdown, phoneLink, reason, severityBadge, tags, who } from "./pieces.js";
import { PlaceMap } from "./place.js";
import { FINAL } from "./store.js";
import { age, clock, delay, fineSpan, zone } from "./time.js";
import { TraceChart } from "./trace.js";
import { evidence, timeline } from "./record.js";

export class Incident {
  #store;
  #actions;
  #map = null;
  #chart = null;
  #detail = null;
  #traceShown = null;
  #lastHeard = null; // Where the helmet was last heard of, for an alert that has no place of its own.
  #asked = 0;
  #parts = {};
  id = null;

  // `actions`: acknowledge(id), take_over(id), resolve(id), reopen(id), note(id, text), contact(id), help(id, helper, status), back().
  constructor(store, actions) {
    this.#store = store;
    this.#actions = actions;
    this.root = h("section", { class: "incident", id: "incident" });
    store.addEventListener("aside", ({ detail }) => detail.includes("people") && this.#parts.mention !== document.activeElement && this.#offerPeople());
    for (const news of ["alerts", "deliveries"]) {
      store.addEventListener(news, (event) => {
        if (this.id !== null && (event.detail.ids === null || event.detail.ids.includes(this.id))) this.#load();
      });
    }
  }

  // Opens an alert, or closes the view with null.
  async open(id) {
    this.id = id;
    this.#detail = null;
    this.#traceShown = null;
    this.#lastHeard = null;
    this.#chart?.destroy();
    this.#map?.destroy();
    this.#map = null;
    this.root.replaceChildren();
    if (id === null) return;
    this.#skeleton();
    const known = this.#store.alerts.get(id);
    if (known) this.#show(known);
    this.#parts.title.focus({ preventScroll: true });
    await this.#load();
  }

  // Another language or theme: everything anew from what we have.
  render() {
    if (this.id === null) return;
    const draft = this.#parts.noteText.value;
    const detail = this.#detail;
    this.#chart?.destroy();
    this.#map?.destroy();
    this.#traceShown = null;
    this.#skeleton();
    this.#parts.noteText.value = draft;
    if (detail) this.#show(detail);
    this.#load();
  }

  async #load() {
    const id = this.id;
    this.#asked += 1;
    const asked = this.#asked;
    const known = this.#store.alerts.get(id);
    if (known && this.#detail) this.#show({ ...this.#detail, ...known });
    try {
      const detail = await api.getAlert(id);
      if (this.id !== id || asked !== this.#asked) return;
      this.#detail = detail;
      this.#show(detail);
      this.#parts.nearby.load(id, FINAL.has(detail.state));
    } catch (error) {
      if (this.id !== id || this.#detail) return;
      this.#parts.title.replaceChildren(error.status === 404 ? t("not_found") : t("unreachable"));
    }
  }

  #skeleton() {
    const p = this.#parts = {
      title: h("h1", { class: "incident-title", tabindex: -1 }, t("loading")), who: h("div", { class: "incident-rider" }),
      late: h("div", { class: "incident-late" }), state: h("span", { class: "incident-state" }),
      why: h("p", { class: "incident-why" }), notes: h("div", { class: "incident-notes" }), buttons: this.#buttons(),
      times: h("div", { class: "times" }), impacts: h("div", { class: "impacts" }), facts: h("dl", { class: "facts" }),
      record: h("div", { class: "timeline" }), ledger: h("section", { class: "card ledger-card" }),
      checklist: new Checklist((text) => this.#actions.note(this.id, text), () => this.#actions.contact(this.id)),
      nearby: new Nearby((helper, status) => this.#actions.help(this.id, helper, status), (found) => this.#showNearby(found)),
      evidence: h("details", { class: "card evidence" }),
      noteText: h("input", { type: "text", name: "note", maxlength: 500, autocomplete: "off", "aria-label": t("note"), placeholder: t("note") }),
      mention: this.#mention(),
    };
    this.#offerPeople();
    this.#map = new PlaceMap();
    this.#chart = new TraceChart();
    const form = h("form", { class: "note-form", onsubmit: (event) => this.#sendNote(event) }, p.noteText, p.mention, h("button", { class: "small" }, t("add_note")));
    this.root.setAttribute("aria-label", t("alerts"));
    this.root.replaceChildren(
      h("header", { class: "incident-head" },
        h("button", { type: "button", class: "small back", onclick: () => this.#actions.back() }, t("back")),
        p.title, h("div", { class: "incident-who" }, p.who, p.late), h("div", { class: "incident-acts" }, p.state, p.buttons)),
      p.why, p.notes, p.checklist.root,
      h("div", { class: "incident-grid" },
        h("div", { class: "incident-column" },
          h("section", { class: "card times-card" }, p.times, p.impacts, p.facts),
          h("section", { class: "card record-card" }, h("div", { class: "record-head" }, h("h2", {}, t("timeline")), pack(this.id)), form, p.record)),
        // Trace and place stand in the first screen, also on a small one.
        h("div", { class: "incident-column seen" }, h("section", { class: "card trace-card" }, this.#chart.root), this.#map.root),
        p.nearby.root, p.ledger, p.evidence));
  }

  // Puts @name at the end of the note: the person is told on their page.
  #mention() {
    const choice = h("select", { class: "mention", "aria-label": t("mention"), title: t("mention"), onchange: () => {
      const field = this.#parts.noteText;
      field.value = `${field.value.trimEnd()} @${choice.value} `.trimStart();
      choice.value = "";
      field.focus();
    } });
    return choice;
  }

  // Who may sign in may be known later than the incident is opened.
  #offerPeople() {
    const { people } = this.#store;
    this.#parts.mention?.replaceChildren(h("option", { value: "" }, "@"), ...people.map((name) => h("option", { value: name }, name)));
    if (this.#parts.mention) this.#parts.mention.hidden = people.length < 2;
  }

  async #sendNote(event) {
    event.preventDefault();
    const field = this.#parts.noteText;
    if (await this.#actions.note(this.id, field.value.trim())) field.value = "";
  }

  #show(alert) {
    const p = this.#parts;
    this.root.dataset.state = alert.state;
    this.root.className = `incident s${alert.severity}`;
    p.title.replaceChildren(severityBadge(alert), " ", term("kind", alert.kind));
    renew(p.who, [alert.rider, alert.helmet], () => [
      h("strong", { class: "rider" }, who(alert)),
      alert.rider ? phoneLink(alert.rider) || h("span", { class: "muted" }, t("no_phone")) : h("span", { class: "muted" }, t("unbound")),
      h("span", { class: "muted" }, [alert.rider && alert.helmet, alert.rider?.city, alert.rider?.station].filter(Boolean).join(" · "))]);
    p.late.replaceChildren(ageOf(alert.occurred_us), h("span", { class: "tags" }, tags(alert)));
    p.why.replaceChildren(h("span", { lang: english() ? "en" : "zh-CN" }, reason(alert)),
      h("small", { lang: english() ? "zh-CN" : "en" }, english() ? alert.reason_zh : alert.reason_en));
    p.notes.replaceChildren(...notes(alert));
    p.state.replaceChildren(...stateWords(alert, this.#store));
    const state = alert.state === "acknowledged" && !this.#store.isMine(alert) ? "acknowledged others" : alert.state;
    for (const button of p.buttons) button.hidden = !button.dataset.states.split(" ").some((each) => state.split(" ").includes(each));
    p.times.replaceChildren(h("h2", {}, t("times", { zone: zone() })), moments(alert));
    p.impacts.replaceChildren(...impacts(alert));
    p.facts.replaceChildren(...facts(alert));
    p.checklist.show(alert);
    this.#showPlace(alert);
    if (!alert.timeline) return;
    p.record.replaceChildren(timeline(alert));
    p.ledger.replaceChildren(...ledger(alert.deliveries));
    const open = p.evidence.open;
    p.evidence.replaceChildren(...evidence(alert));
    p.evidence.open = open;
    this.#showTrace(alert);
  }

  #showPlace(alert) {
    if (alert.position || !this.#lastHeard) this.#map.show(alert.position, alert.severity);
    else this.#map.showLast(this.#lastHeard, alert.severity);
  }

  // What the desk knows of the surroundings: around the place of the alert, else around where its helmet was last heard of.
  #showNearby({ position, helpers }) {
    this.#lastHeard = position;
    if (this.#detail) this.#showPlace({ ...this.#detail, ...this.#store.alerts.get(this.id) });
    this.#map?.showHelpers(helpers);
  }

  #showTrace(alert) {
    const key = JSON.stringify([alert.trace?.t0_us, alert.trace?.acc.length, alert.impacts_us, alert.kind, alert.features, document.documentElement.dataset.theme]);
    if (key === this.#traceShown) return;
    this.#traceShown = key;
    this.#chart.show(alert);
  }

  // Made once and then shown or hidden: a button rebuilt between press and release loses the click.
  #buttons() {
    const act = (name, states, key, extra) => h("button", {
      type: "button", class: `act ${extra}`, "data-act": name, "data-states": states, hidden: true, onclick: () => this.#actions[name](this.id),
    }, both(name), key && h("kbd", {}, key));
    return [
      act("acknowledge", "pending open", "A", "primary"), act("resolve", "acknowledged", "R", "primary"), act("take_over", "others", "", ""),
      act("reopen", "resolved cancelled", "", ""),
    ];
  }
}

// Replaces a part only where what it shows has changed, for the same reason.
function renew(node, key, make) {
  const text = JSON.stringify(key);
  if (node.dataset.shown === text) return;
  node.dataset.shown = text;
  node.replaceChildren(...make());
}

function stateWords(alert, store) {
  return [
    h("span", { class: `state ${alert.state}` }, term("state", alert.state)),
    countdown(alert),
    nextStep(alert, store),
    alert.owner && h("span", { class: "owner" }, alert.owner),
    alert.resolution && h("span", {}, term("reason", alert.resolution.reason)),
    typeof alert.resolution?.dispatched === "boolean" && h("span", { class: "muted" }, t(alert.resolution.dispatched ? "dispatched_yes" : "dispatched_no")),
  ].filter(Boolean);
}

function notes(alert) {
  return [
    alert.late && h("p", { class: "note late" }, ticking(() => t("late_long", { age: age(alert.occurred_us), arrived: age(alert.received_us) }))),
    alert.signal_lost && h("p", { class: "note lost" }, t("signal_lost_long")),
    alert.resolution?.note && h("p", { class: "note" }, `${t("note")}: ${alert.resolution.note}`),
  ].filter(Boolean);
}

// Each time with its delay after the one before that is known.
function moments(alert) {
  let before = null;
  const row = (key, us) => {
    const node = h("tr", {}, h("th", { scope: "row" }, t(key)), h("td", {}, clock(us, us !== null)), h("td", { class: "delay" }, key === "occurred" || key === "sent" ? t("helmet_clock") : delay(before, us)));
    before = us ?? before;
    return node;
  };
  return h("table", {}, h("tbody", {},
    row("occurred", alert.occurred_us), row("sent", alert.sent_us), row("received", alert.received_us), row("detected", alert.detected_us), row("alerted", alert.alerted_us),
    row("shown", alert.shown_us ?? null),
    row("acknowledged", alert.acknowledged_us), alert.cancelled_us ? row("cancelled", alert.cancelled_us) : row("resolved", alert.resolved_us)));
}

// One incident, but every impact of it, or every press of the button: merged, never hidden.
function impacts({ kind, impacts_us: times_us }) {
  if (times_us.length < 2) return [];
  const first = times_us[0];
  return [
    h("h2", {}, t(kind === "sos" ? "press_list" : "impact_list", { n: times_us.length, span: fineSpan((times_us.at(-1) - first) / 1e6) })),
    h("ol", {}, times_us.map((us, i) => h("li", {}, h("b", {}, String(i + 1)), ` ${clock(us, true)} `, h("span", { class: "muted" }, i ? delay(first, us) : "")))),
  ];
}

function pack(id) {
  const link = (format) => h("a", { href: api.packUrl(id, format), download: true, "data-pack": format }, format.toUpperCase());
  return h("p", { class: "pack" }, `${t("pack")} `, link("zip"), " · ", link("pdf"), " · ", link("json"));
}

function facts(alert) {
  const pair = (key, ...value) => [h("dt", {}, t(key)), h("dd", {}, ...value)];
  return [
    pair("severity", severityBadge(alert), " ", term("basis", alert.severity_basis)),
    pair("quality", term("quality", alert.quality)),
    pair("wear", h("span", { class: alert.worn === 1 ? "worn no" : "worn" }, term("worn", alert.worn))),
    pair("speed", alert.speed_mps === null ? "–" : `${(alert.speed_mps * 3.6).toFixed(0)} km/h`),
    pair("stage", `${term("stage", alert.stage)} · v${alert.version}`),
  ].flat();
}
