// The desk after signing in: header, banner, list, incident, fleet, and the address they follow.

import { Banner } from "./banner.js";
import { Channels } from "./channels.js";
import { showKeys } from "./dialogs.js";
import { h, keepFocus, ticking } from "./dom.js";
import { FleetMap } from "./fleet.js";
import { Handover } from "./handover.js";
import { Health } from "./health.js";
import { History } from "./history.js";
import { t, term } from "./i18n.js";
import { Incident } from "./incident.js";
import { listenKeys } from "./keys.js";
import { Mentions } from "./mentions.js";
import { FILTERS, Queue } from "./queue.js";
import { Statistics } from "./stats.js";
import { toggleTheme } from "./theme.js";
import { span } from "./time.js";

const ONLY = "only."; // What narrows the list, in the address.

export class Desk {
  #root;
  #given;
  #header = h("header", { class: "top" });
  #sound = h("span", { class: "sound" });
  #main = h("main", { class: "desk" });
  #hint = h("p", { class: "choose" });
  #stop = new AbortController();

  // `given`: store, siren, feed, actions, language(), signOut().
  constructor(root, given) {
    const { store, feed, actions, siren } = given;
    this.#root = root;
    this.#given = given;
    const acts = {
      open: (id) => this.go({ alert: id, view: null }), back: () => this.go({ alert: null }), filter: (name) => this.go({ filter: name }),
      acknowledge: (id) => actions.acknowledge(id), take_over: (id) => actions.take_over(id), resolve: (id) => actions.resolve(id), reopen: (id) => actions.reopen(id),
      acknowledgeMany: (which, n) => actions.acknowledgeMany(which, n), contact: (id) => actions.contact(id), narrow: (only) => this.go({ only }), look: ({ filter, only }) => this.go({ filter, only }),
      note: (id, text) => actions.note(id, text), help: (id, helper, status) => actions.help(id, helper, status),
    };
    this.health = new Health(store, feed);
    this.banner = new Banner(store, acts);
    this.mentions = new Mentions(store, acts.open);
    this.queue = new Queue(store, acts);
    this.incident = new Incident(store, acts);
    const params = (view) => (rest) => this.go({ view, alert: null, rest });
    this.views = {
      fleet: new FleetMap(store, acts.open, params("fleet")), history: new History(store, params("history")), handover: new Handover(store),
      stats: new Statistics(params("stats")), channels: new Channels(store),
    };
    this.#main.append(this.queue.root, h("div", { class: "side" }, this.#hint, this.incident.root, Object.values(this.views).map((view) => view.root)));
    root.replaceChildren(this.#header, h("div", {}, this.banner.root, this.mentions.root), this.#main);
    const { signal } = this.#stop;
    addEventListener("hashchange", () => this.#follow(), { signal });
    siren.addEventListener("change", () => this.#showSound(), { signal });
    listenKeys(this, acts, siren, signal);
    this.#showHeader();
    this.#follow();
    this.banner.setFeed(false);
  }

  get lostFor_s() {
    return this.health.lostFor_s;
  }

  // Where we are: {filter, only, alert, view, rest} from the address; `only` narrows the list, `rest` is what the
  // view itself keeps there.
  get where() {
    const { filter, alert = null, view, ...others } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    const only = {}, rest = {};
    for (const [name, value] of Object.entries(others)) {
      if (name.startsWith(ONLY)) only[name.slice(ONLY.length)] = value;
      else rest[name] = value;
    }
    return { only, filter: FILTERS.includes(filter) ? filter : FILTERS[0], alert, view: Object.hasOwn(this.views, view ?? "") ? view : null, rest };
  }

  // Changes the address; everything else follows from that, so the back button works.
  go(change) {
    const next = { ...this.where, rest: {}, ...change };
    const hash = new URLSearchParams();
    if (next.filter !== FILTERS[0]) hash.set("filter", next.filter);
    for (const [name, value] of Object.entries(next.only)) hash.set(ONLY + name, value);
    if (next.alert) hash.set("alert", next.alert);
    if (next.view) hash.set("view", next.view);
    for (const [name, value] of Object.entries(next.rest)) if (value) hash.set(name, value);
    const target = `#${hash}`;
    if (target === (location.hash || "#")) this.#follow();
    else location.hash = target;
  }

  feedState(state) {
    this.health.setState(state);
    this.banner.setFeed(state.state === "live");
    this.#root.dataset.feed = state.state;
  }

  tick() {
    this.banner.tick();
    this.views.handover.tick();
    this.#root.dataset.sound = this.#given.siren.state;
    if (this.#sound.dataset.state !== this.#given.siren.state) this.#showSound();
  }

  showKeys() {
    showKeys();
  }

  // Everything in another language or theme.
  render() {
    this.#showHeader();
    this.health.render();
    this.banner.render();
    this.mentions.render();
    this.queue.render();
    this.incident.render();
    this.#showView(true);
  }

  destroy() {
    this.#stop.abort();
    this.views.fleet.destroy();
    this.incident.open(null);
  }

  #follow() {
    const { filter, only, alert, view } = this.where;
    if (filter !== this.queue.filter || JSON.stringify(only) !== JSON.stringify(this.queue.only)) {
      this.queue.filter = filter;
      this.queue.only = only;
      this.queue.render();
    }
    this.queue.choose(alert);
    if (alert) this.#given.store.seen(alert);
    this.#main.dataset.view = view ?? (alert ? "incident" : "list");
    if (alert !== this.incident.id) this.incident.open(alert);
    for (const tab of this.#header.querySelectorAll(".tab")) tab.setAttribute("aria-pressed", String(tab.dataset.view === (view ?? "alerts")));
    this.#showView(false);
  }

  #showView(again) {
    const { view, rest } = this.where;
    for (const [name, each] of Object.entries(this.views)) each.root.hidden = name !== view;
    if (view) keepFocus(this.views[view].root, () => this.views[view].show(rest, again));
  }

  #showHeader() {
    const { store, language, signOut } = this.#given;
    const tab = (name, label, change) => h("button", {
      type: "button", class: "tab", "data-view": name, "aria-pressed": String((this.where.view ?? "alerts") === name), onclick: () => this.go(change),
    }, h("span", { class: "long" }, label), h("span", { class: "short" }, t(`short.${name}`)));
    this.#showSound();
    this.#hint.replaceChildren(t("choose"), h("kbd", {}, "U"));
    this.#header.replaceChildren(
      h("div", { class: "bar" },
        h("span", { class: "brand" }, t("brand")),
        h("nav", { class: "tabs", "aria-label": t("views") }, tab("alerts", t("alerts"), { view: null, alert: null }),
          Object.keys(this.views).map((name) => tab(name, t(name), { view: name, alert: null }))),
        this.#sound,
        h("span", { class: "spacer" }),
        h("span", { class: "person" }, t("signed_in", { name: store.me.display_name }), h("span", { class: "role" }, ` · ${term("role", store.me.role)}`)),
        h("button", { type: "button", class: "small", id: "language", onclick: language }, t("language")),
        h("button", { type: "button", class: "small", id: "theme", title: t("theme"), "aria-label": t("theme"), onclick: () => { toggleTheme(); this.render(); } }, "◐"),
        h("button", { type: "button", class: "small", id: "help", title: t("help"), "aria-label": t("help"), onclick: () => this.showKeys() }, "?"),
        h("button", { type: "button", class: "small", id: "sign-out", onclick: signOut }, t("sign_out"))),
      this.health.root);
  }

  // Only this part follows the siren: what is rebuilt between press and release of a button loses the click.
  #showSound() {
    const { siren } = this.#given;
    const button = (key, action) => h("button", { type: "button", class: "small", id: "sound", title: t("mute_hint"), onclick: action }, t(key));
    const parts = {
      on: () => [h("span", {}, "♪ ", h("span", { class: "wide" }, t("sound_on"))), button("mute", () => siren.toggleMute())],
      muted: () => [ticking(() => t("sound_muted", { left: span(siren.mutedLeft_s) }), {}), button("unmute", () => siren.toggleMute())],
      blocked: () => [h("span", {}, t("sound_blocked")), button("sound_enable", () => siren.enable())],
      none: () => [h("span", {}, t("sound_none"))],
    }[siren.state]();
    this.#sound.className = `sound ${siren.state}`;
    this.#sound.dataset.state = siren.state;
    this.#sound.replaceChildren(...parts);
  }
}
