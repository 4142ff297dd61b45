// The strip that proves the page is alive: the feed, the workers behind it, and how fresh everything is.

import { h, ticking } from "./dom.js";
import { t } from "./i18n.js";
import { holding } from "./silences.js";
import { age, clock, now_us, span } from "./time.js";

const WORKER_SILENT_S = 10;

export class Health {
  #store;
  #feed;
  #state = { state: "connecting", tries: 0 };
  #heard_us = null;
  #opened_us = now_us();

  constructor(store, feed) {
    this.#store = store;
    this.#feed = feed;
    this.root = h("section", { class: "health", id: "health" });
    for (const news of ["fleet", "aside", "deliveries"]) store.addEventListener(news, () => this.render());
    this.render();
  }

  setState(state) {
    if (state.state === "lost" && this.#state.state === "live") this.#heard_us = now_us() - this.#feed.heardAgo_s * 1e6;
    this.#state = state;
    this.render();
  }

  get live() {
    return this.#state.state === "live";
  }

  get lostFor_s() {
    return this.live ? 0 : (now_us() - (this.#heard_us ?? this.#opened_us)) / 1e6;
  }

  render() {
    const workers = this.#store.workers;
    const sum = (name) => workers.reduce((total, worker) => total + worker[name], 0);
    const lag_s = workers.length ? Math.max(...workers.map((worker) => worker.lag_s)) : null;
    let online = 0;
    for (const helmet of this.#store.helmets.values()) if (helmet.online) online += 1;
    const failing = this.#store.channels.filter((channel) => channel.failing);
    const silenced = holding(this.#store.silences).length;
    this.root.setAttribute("aria-label", t("health"));
    this.root.dataset.state = this.#state.state;
    this.root.replaceChildren(
      h("span", { class: "feed-state" }, h("i", { class: "dot" }), this.#feedWords()),
      // What is wrong comes first: on a narrow screen the end of the line is cut off.
      failing.length ? fact("failing", failing.map(lastError).flatMap((part, i) => (i ? [t("comma"), part] : [part])), "bad") : "",
      sum("undelivered") > 0 ? fact("undelivered", String(sum("undelivered")), "bad") : "",
      fact("heard", ticking(() => t("ago", { span: span(this.#feed.heardAgo_s) })), "beat"),
      fact("last_alert", ticking(() => (this.#store.lastAlertAt_us ? t("ago", { span: age(this.#store.lastAlertAt_us) }) : t("none_yet"))), "wide"),
      this.#workers(),
      fact("online", String(online), ""),
      fact("lag", lag_s === null ? "–" : `${lag_s.toFixed(1)} s`, lag_s > 5 ? "bad wide" : "wide"),
      fact("rate", workers.length ? Math.round(sum("frames_per_s")).toLocaleString() : "–", "wide"),
      fact("backlog", workers.length ? String(sum("queue")) : "–", sum("queue") > 5000 ? "bad wide" : "wide"),
      fact("silenced", String(silenced), silenced ? "held" : "none"),
    );
  }

  #feedWords() {
    const { state, tries } = this.#state;
    if (state === "live") return t("feed_live");
    if (this.#heard_us !== null) return t("feed_stale", { clock: clock(this.#heard_us), n: tries });
    return state === "lost" ? t("feed_never", { n: tries }) : t("feed_connecting");
  }

  #workers() {
    const node = h("span", { class: "fact workers" });
    const words = ticking(() => {
      const workers = this.#store.workers;
      const silent = workers.find((worker) => this.#store.workerAge_s(worker) > WORKER_SILENT_S);
      const broken = workers.find((worker) => !worker.connected);
      node.classList.toggle("bad", Boolean(silent || broken) || workers.length === 0);
      if (workers.length === 0) return t("workers_none");
      if (silent) return t("worker_silent", { name: silent.worker, span: span(this.#store.workerAge_s(silent)) });
      return broken ? t("worker_broker", { name: broken.worker }) : t("workers_ok", { n: workers.length });
    }, {});
    node.append(h("span", { class: "name" }, t("workers")), " ", words);
    return node;
  }
}

// A failing channel with the last answer of its service, and how long ago that was.
function lastError(channel) {
  const ago = () => (channel.failed_us ? t("ago", { span: age(channel.failed_us) }) : "");
  return h("span", { title: channel.sentence }, channel.name, " ", ticking(() => t("last_error", { code: channel.code, ago: ago() })));
}

function fact(key, value, extra) {
  return h("span", { class: `fact ${extra}`, "data-fact": key }, h("span", { class: "name" }, t(key)), " ", h("b", {}, value));
}
