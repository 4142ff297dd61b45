// How people are told who do not look at the page: how each channel fares, and a test that says what came of it.

import * as api from "./api.js";
import { h } from "./dom.js";
import { t, term } from "./i18n.js";
import { confirm } from "./dialogs.js";
import { planCard } from "./escalation.js";
import { line } from "./ledger.js";
import { TEST, ageOf } from "./pieces.js";
import { AuditTrail } from "./audit.js";
import { Registers } from "./registers.js";
import { forSupervisors, supervises } from "./role.js";
import { Silences } from "./silences.js";

export class Channels {
  #store;
  #results = new Map();
  #list = h("ul", { class: "channels" });
  #silences;
  #registers;
  #audit = new AuditTrail();
  #drilled = h("p", { role: "status" });
  #all = h("button", { type: "button", class: "act", id: "test-all", onclick: () => this.#testAll() });
  root = h("section", { class: "view channels-view", id: "channels", hidden: true });

  constructor(store) {
    this.#store = store;
    this.#silences = new Silences(store);
    this.#registers = new Registers(store);
    store.addEventListener("deliveries", () => this.root.hidden || this.#show());
  }

  show() {
    this.root.setAttribute("aria-label", t("channels"));
    this.#all.textContent = t("test_all");
    const may = supervises(this.#store);
    this.root.replaceChildren(
      h("div", { class: "view-head" }, h("h1", {}, t("channels")), this.#all),
      may ? h("p", { class: "muted" }, t("test_hint")) : forSupervisors("test"), this.#list,
      h("section", { class: "card", id: "drill" }, h("h2", {}, t("drill")), h("p", {}, t("drill_hint")),
        may ? h("form", { class: "drill-form", onsubmit: (event) => this.#drill(event) },
          h("label", {}, `${t("severity")} `, this.#severity()), h("button", { class: "act primary" }, t("drill_start"))) : forSupervisors("drill"), this.#drilled),
      this.#silences.root, this.#registers.root, may ? this.#audit.root : "", planCard());
    this.#silences.render();
    this.#show();
    this.#registers.render();
    if (may) this.#audit.render();
  }

  #severity() {
    return h("select", { name: "severity" }, [4, 3, 2, 1].map((n) => h("option", { value: n, selected: n === 3 }, term("severity", n))));
  }

  async #drill(event) {
    event.preventDefault();
    const severity = Number(event.target.elements.severity.value);
    if (!(await confirm(t("drill_sure"), t("start")))) return;
    try {
      const alert = await api.startDrill(severity);
      this.#store.put(alert);
      this.#drilled.replaceChildren(h("a", { href: `#alert=${alert.id}` }, `${TEST} ${t("drill_open")}`));
    } catch (error) {
      this.#drilled.replaceChildren(h("span", { class: "fault" }, error.status === 0 ? t("unreachable") : t("failed", { detail: error.message })));
    }
  }

  #show() {
    const { channels } = this.#store;
    this.#all.hidden = channels.length < 2 || !supervises(this.#store);
    // A button that is rebuilt between press and release loses the click: rows are made once and then filled.
    const have = new Map([...this.#list.children].map((node) => [node.dataset.channel, node]));
    this.#list.replaceChildren(...channels.map((channel) => {
      const node = have.get(channel.name) ?? this.#make(channel.name);
      node.className = `card channel ${channel.failing ? "failing" : ""}`;
      node.querySelector(".channel-words").replaceChildren(...words(channel));
      node.querySelector("button").textContent = t("test_channel");
      node.querySelector(".channel-result").replaceChildren(...this.#result(channel.name));
      return node;
    }));
    if (!channels.length) this.#list.replaceChildren(h("li", { class: "muted" }, t("channels_none")));
  }

  #make(name) {
    return h("li", { "data-channel": name }, h("div", { class: "channel-words" }),
      h("button", { type: "button", class: "act", "data-test": name, disabled: !supervises(this.#store), onclick: () => this.#test(name) }), h("ul", { class: "channel-result", role: "status" }));
  }

  #result(name) {
    const result = this.#results.get(name);
    if (!result) return [];
    if (result.delivery) return [line(result.delivery)];
    return [h("li", { class: result.fault ? "fault" : "muted" }, result.fault ?? t("testing"))];
  }

  async #testAll() {
    this.#all.disabled = true;
    await Promise.all(this.#store.channels.map((channel) => this.#test(channel.name)));
    this.#all.disabled = false;
  }

  async #test(name) {
    this.#results.set(name, {});
    this.#show();
    try {
      this.#results.set(name, { delivery: await api.testChannel(name) });
    } catch (error) {
      this.#results.set(name, { fault: error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }) });
    }
    this.#show();
  }
}

function words(channel) {
  return [
    h("h2", {}, channel.name, " ", h("span", { class: "muted" }, channel.kind)),
    h("p", {}, h("b", { class: channel.failing ? "bad-words" : "good-words" }, t(channel.failing ? "channel_failing" : channel.delivered_us ? "channel_good" : "channel_unused"))),
    channel.delivered_us && h("p", { class: "muted" }, t("last_delivered"), " ", ageOf(channel.delivered_us)),
    channel.failed_us && h("p", { class: "muted" }, t("last_failed"), " ", ageOf(channel.failed_us), ` · ${channel.code} ${channel.sentence}`),
    channel.waiting > 0 && h("p", {}, t("channel_waiting", { n: channel.waiting })),
  ].filter(Boolean);
}
