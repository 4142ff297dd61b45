// The list of alerts in fixed order. While the pointer or the keyboard is in it, rows keep their places:
// what is new is announced above the list and sorted in when the person leaves or asks for it.

import { h } from "./dom.js";
import { both, t, term } from "./i18n.js";
import { Narrow, fits as fitsOnly } from "./narrow.js";
import { nextStep } from "./escalation.js";
import { ageOf, placeShort, reason, severityBadge, stateLine, tags, who } from "./pieces.js";
import { Saved } from "./saved.js";
import { FINAL, UNTAKEN, group } from "./store.js";
import { Told, toldSigns } from "./told.js";

export const FILTERS = ["now", "mine", "all", "closed"]; // The first is what the page opens with.
const CLOSED_SHOWN = 8;
const SHOWN = 100; // Rows of a group; in a storm of thousands the rest comes when asked for.
const GROUPS = ["group_now", "group_taken", "group_closed"];
const TOUCH_HOLD_MS = 2000;
const MANY = 10; // From so many on they can be taken together.

export class Queue {
  #store;
  #actions;
  #rows = new Map();
  #lists = [];
  #headings = [];
  #body = h("div", { class: "rows" });
  #waiting = h("button", { type: "button", class: "waiting", hidden: true });
  #filters = h("nav", { class: "filters" });
  #narrow;
  #saved;
  #told;
  #outside = h("p", { class: "outside muted" });
  #all = h("button", { type: "button", class: "small take-all", onclick: () => this.#takeAll() });
  #limit = SHOWN;
  #pointer = false;
  #kept = false;
  #touchTimer = 0;
  filter = FILTERS[0];
  only = {};
  chosen = null;

  // `actions`: open(id), acknowledge(id), acknowledgeMany({ids}, n), filter(name), narrow(only), look({filter, only}).
  constructor(store, actions) {
    this.#store = store;
    this.#actions = actions;
    this.#narrow = new Narrow(store, (only) => actions.narrow(only));
    this.#saved = new Saved((view) => actions.look(view));
    this.root = h("section", { class: "queue", id: "queue" }, h("div", { class: "queue-head" }, this.#filters, this.#narrow.parts[1], this.#saved.parts[1], this.#outside, this.#waiting), this.#body);
    this.#told = new Told(store, () => [...this.#rows.keys()].filter((id) => !FINAL.has(store.alerts.get(id)?.state)));
    this.#waiting.addEventListener("click", () => this.release());
    this.#body.addEventListener("pointerenter", (event) => this.#hold(event));
    this.#body.addEventListener("pointerdown", (event) => this.#hold(event));
    this.#body.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.#let());
    this.#body.addEventListener("focusin", () => this.#keepHeights());
    this.#body.addEventListener("focusout", (event) => {
      if (!this.#body.contains(event.relatedTarget) && !this.#pointer) this.arrange();
    });
    store.addEventListener("alerts", (event) => this.refresh(event.detail.ids === null));
    store.addEventListener("aside", ({ detail }) => detail.includes("places") && this.#showPlaces());
    store.addEventListener("told", () => this.#showTold());
    this.render();
  }

  get held() {
    return this.#pointer || this.#body.contains(document.activeElement);
  }

  // Everything anew: another language, another filter.
  render() {
    this.#limit = SHOWN;
    this.root.setAttribute("aria-label", t("alerts"));
    this.#filters.setAttribute("aria-label", t("filters"));
    this.#filters.replaceChildren(...FILTERS.map((name) => h("button", {
      type: "button", class: "filter", "data-filter": name, "aria-pressed": String(name === this.filter),
      onclick: () => this.#actions.filter(name),
    }, t(`filter.${name}`), " ", h("span", { class: "count" }))), this.#saved.parts[0], this.#narrow.parts[0]);
    this.#narrow.render(this.only);
    this.#saved.render({ filter: this.filter, only: this.only });
    this.#rows.clear();
    this.#lists = GROUPS.map(() => h("ol", { class: "group" }));
    this.#headings = GROUPS.map(() => h("h2", { class: "group-head" }));
    this.#body.replaceChildren(h("div", { class: "group-line" }, this.#headings[0], this.#all), this.#lists[0],
      ...[1, 2].flatMap((i) => [this.#headings[i], this.#lists[i]]));
    this.arrange();
  }

  // News: rows change where they stand; their order only where nobody is pointing at it, or `all` is new.
  refresh(all) {
    if (all || !this.held || this.#rows.size === 0) return this.arrange();
    for (const [id, row] of this.#rows) {
      if (this.#store.alerts.has(id)) row.show(this.#store.alerts.get(id), this.chosen === id);
    }
    this.#counts();
    const missing = this.#groups().flat().filter((alert) => !this.#rows.has(alert.id) && (group(alert) < 2 || this.filter === "closed")).length;
    this.#waiting.hidden = missing === 0;
    this.#waiting.replaceChildren(t("waiting", { n: missing }), h("span", { class: "sub" }, ` ${t("waiting_hint")}`));
  }

  // Sorts now, whoever is pointing.
  release() {
    this.arrange();
    this.#body.scrollTop = 0;
  }

  arrange() {
    this.#freeHeights();
    const focused = document.activeElement;
    const groups = this.#groups();
    const keep = new Set(groups.flat().map((alert) => alert.id));
    for (const id of this.#rows.keys()) if (!keep.has(id)) this.#rows.delete(id);
    groups.forEach((alerts, i) => {
      const nodes = alerts.map((alert) => {
        const row = this.#rows.get(alert.id) || this.#makeRow(alert.id);
        row.show(alert, this.chosen === alert.id);
        row.showTold(alert, this.#store.told.get(alert.id));
        return row.node;
      });
      place(this.#lists[i], alerts.hidden ? [...nodes, this.#more(i, alerts)] : nodes);
    });
    this.#waiting.hidden = true;
    this.#counts();
    this.#told.want();
    // Moving an element in the document takes its focus away.
    if (focused && focused !== document.activeElement && this.#body.contains(focused)) focused.focus({ preventScroll: true });
    if (this.held) this.#keepHeights();
  }

  // A row that loses its button or gains a line must not move those below it while somebody is about to click.
  #keepHeights() {
    if (this.#kept) return;
    this.#kept = true;
    const nodes = [...this.#rows.values()].map((row) => row.node);
    const heights = nodes.map((node) => node.getBoundingClientRect().height);
    nodes.forEach((node, i) => { node.style.height = `${heights[i]}px`; });
  }

  #freeHeights() {
    if (!this.#kept) return;
    this.#kept = false;
    for (const row of this.#rows.values()) row.node.style.height = "";
  }

  choose(id) {
    this.chosen = id;
    for (const [key, row] of this.#rows) row.mark(key === id);
  }

  // The alert whose row has the keyboard, or null.
  get focusedId() {
    return document.activeElement?.closest?.(".row")?.dataset.id ?? null;
  }

  // Moves the keyboard to the next or the previous row.
  step(by) {
    const buttons = [...this.#body.querySelectorAll(".row-open")];
    if (!buttons.length) return;
    const from = this.focusedId ?? this.chosen;
    const at = buttons.findIndex((button) => button.closest(".row").dataset.id === from);
    const to = at < 0 ? 0 : Math.min(buttons.length - 1, Math.max(0, at + by));
    buttons[to].focus();
    buttons[to].scrollIntoView({ block: "nearest" });
  }

  #wanted() {
    const fits = this.#fits(this.filter);
    return this.#store.sorted().filter((alert) => fits(alert) && fitsOnly(alert, this.only));
  }

  #fits(filter) {
    const store = this.#store;
    return {
      all: () => true,
      now: (alert) => UNTAKEN.has(alert.state) || (store.isMine(alert) && !FINAL.has(alert.state)),
      mine: (alert) => store.isMine(alert) && !FINAL.has(alert.state),
      closed: (alert) => FINAL.has(alert.state),
    }[filter];
  }

  // What is shown of each group; `hidden` says how many are not.
  #groups() {
    const groups = [[], [], []];
    for (const alert of this.#wanted()) groups[group(alert)].push(alert);
    return groups.map((alerts, i) => {
      const shown = alerts.slice(0, i === 2 && this.filter === "all" ? CLOSED_SHOWN : this.#limit);
      return Object.assign(shown, { hidden: alerts.length - shown.length });
    });
  }

  #more(i, shown) {
    const all = i === 2 && this.filter === "all";
    const onclick = () => {
      if (all) return this.#actions.filter("closed");
      this.#limit += SHOWN;
      return this.arrange();
    };
    return h("li", {}, h("button", { type: "button", class: "more", onclick },
      all ? t("more_closed", { n: shown.length + shown.hidden }) : t("more_rows", { n: Math.min(SHOWN, shown.hidden), hidden: shown.hidden })));
  }

  #counts() {
    const everything = [...this.#store.alerts.values()];
    const all = everything.filter((alert) => fitsOnly(alert, this.only));
    const numbers = Object.fromEntries(FILTERS.map((name) => [name, all.filter(this.#fits(name)).length]));
    const outside = everything.length === all.length ? 0 : everything.filter((alert) => UNTAKEN.has(alert.state) && !fitsOnly(alert, this.only)).length;
    this.#outside.hidden = Object.keys(this.only).length === 0;
    this.#outside.textContent = outside ? t("outside", { n: outside }) : "";
    const untaken = all.filter((alert) => UNTAKEN.has(alert.state)).length;
    this.#all.hidden = untaken < MANY || !["all", "now"].includes(this.filter);
    this.#all.textContent = t("take_all", { n: untaken });
    for (const button of this.#filters.querySelectorAll("[data-filter]")) {
      button.querySelector(".count").textContent = String(numbers[button.dataset.filter]);
    }
    const sizes = [untaken, numbers.all - untaken - numbers.closed, numbers.closed];
    const whole = (i) => this.filter !== "mine" && !(this.filter === "now" && i === 1);
    this.#headings.forEach((heading, i) => {
      const empty = this.#lists[i].children.length === 0;
      heading.hidden = empty && !(i === 0 && ["all", "now"].includes(this.filter));
      heading.className = `group-head g${i}${empty ? " empty" : ""}`;
      heading.textContent = empty ? t("empty_now") : `${t(GROUPS[i])}${whole(i) ? ` (${sizes[i]})` : ""}`;
    });
    if (this.filter === "mine" || this.filter === "closed") {
      const empty = this.#lists.every((list) => list.children.length === 0);
      if (empty) Object.assign(this.#headings[2], { hidden: false, className: "group-head empty", textContent: t(`empty_${this.filter}`) });
    }
  }

  // What lies where is known later than the alerts are.
  #showPlaces() {
    for (const [id, row] of this.#rows) if (this.#store.alerts.has(id)) row.showPlace(this.#store.alerts.get(id));
  }

  #showTold() {
    for (const [id, row] of this.#rows) if (this.#store.alerts.has(id)) row.showTold(this.#store.alerts.get(id), this.#store.told.get(id));
  }

  #takeAll() {
    const ids = this.#wanted().filter((alert) => UNTAKEN.has(alert.state)).map((alert) => alert.id);
    this.#actions.acknowledgeMany({ ids }, ids.length);
  }

  #hold(event) {
    this.#pointer = true;
    this.#keepHeights();
    clearTimeout(this.#touchTimer);
    // A finger has no "leave": its hold ends a little after the touch.
    if (event.pointerType === "touch") this.#touchTimer = setTimeout(() => this.#let(), TOUCH_HOLD_MS);
  }

  #let() {
    this.#pointer = false;
    if (!this.held) this.arrange();
  }

  #makeRow(id) {
    const row = new Row(id, this.#actions, this.#store);
    this.#rows.set(id, row);
    return row;
  }
}

// Puts `nodes` into `list` in order and moves only what has to move.
function place(list, nodes) {
  const keep = new Set(nodes);
  for (const child of [...list.children]) if (!keep.has(child)) child.remove();
  nodes.forEach((node, i) => {
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null);
  });
}

class Row {
  #store;
  #shown = null;
  #told = h("span", { class: "told-place" });
  #toldShown = "";
  #place = h("span", { class: "place" });
  #open;
  #acknowledge;

  constructor(id, actions, store) {
    this.#store = store;
    this.#open = h("button", { type: "button", class: "row-open", onclick: () => actions.open(id) });
    this.#acknowledge = h("button", {
      type: "button", class: "act primary acknowledge", onclick: () => actions.acknowledge(id),
    }, both("acknowledge"));
    this.node = h("li", { class: "row", "data-id": id }, this.#open, this.#acknowledge);
  }

  show(alert, chosen) {
    this.mark(chosen);
    if (this.#shown === alert) return;
    this.#shown = alert;
    this.node.dataset.state = alert.state;
    this.node.className = `row s${alert.severity} ${UNTAKEN.has(alert.state) ? "untaken" : ""} ${FINAL.has(alert.state) ? "final" : ""}`;
    this.mark(chosen);
    this.#acknowledge.hidden = !UNTAKEN.has(alert.state);
    this.showPlace(alert);
    this.#open.replaceChildren(
      h("span", { class: "line first" }, severityBadge(alert), h("span", { class: "kind" }, term("kind", alert.kind)),
        h("span", { class: "who" }, who(alert)), ageOf(alert.occurred_us)),
      h("span", { class: "why-line" }, h("span", { class: "line why" }, reason(alert)), this.#told),
      h("span", { class: "line meta" }, stateLine(alert), nextStep(alert, this.#store), alert.rider && h("span", { class: "helmet" }, alert.helmet),
        h("span", { class: alert.worn === 1 ? "worn no" : "worn" }, term("worn", alert.worn)),
        this.#place, tags(alert)),
    );
  }

  showPlace({ position }) {
    this.#place.textContent = placeShort(position, this.#store.places.known);
  }

  showTold(alert, told) {
    const key = FINAL.has(alert.state) || !told ? "" : `${told.failed} ${told.delivered} ${told.waiting}`;
    if (key === this.#toldShown) return;
    this.#toldShown = key;
    this.#told.replaceChildren(...[toldSigns(alert, told)].filter(Boolean));
  }

  mark(chosen) {
    this.node.classList.toggle("chosen", chosen);
    if (chosen) this.#open.setAttribute("aria-current", "true");
    else this.#open.removeAttribute("aria-current");
  }
}
