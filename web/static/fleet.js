// The fleet map: every helmet a small mark whose shape and colour say how it is, alerts larger on top.

import { h } from "./dom.js";
import { DutyList } from "./duty.js";
import { faultWords, showHelmet } from "./helmet.js";
import { HelmetTable } from "./helmets.js";
import { t, term } from "./i18n.js";
import { makeMap, onMap } from "./map.js";
import { TEST, who } from "./pieces.js";
import { RidingNews, wearBasis, wearIsLow, wearPercent } from "./riding.js";
import { FINAL, UNTAKEN } from "./store.js";
import { age, now_us } from "./time.js";

const L = globalThis.L;
const RIDING_MPS = 1;
const SILENT_S = 60;
const HIT_PX = 12;
const SPOT_PX = 3;
const NAMED = 200; // More names than this only hide one another.
const STATES = ["riding", "stopped", "not_worn", "offline"];

// How a helmet is; what has been silent for a minute counts as offline, whatever it said last.
export function rideState(helmet, now) {
  if (!helmet.online || (now - helmet.received_us) / 1e6 > SILENT_S) return "offline";
  if (helmet.worn === 1) return "not_worn";
  return (helmet.speed_mps ?? 0) >= RIDING_MPS ? "riding" : "stopped";
}

// Draws one mark per state: filled disc, square, ring, cross.
const MARKS = {
  riding: (c, x, y) => { c.beginPath(); c.arc(x, y, 4, 0, 7); c.fill(); },
  stopped: (c, x, y) => c.fillRect(x - 3, y - 3, 6, 6),
  not_worn: (c, x, y) => { c.beginPath(); c.arc(x, y, 3.5, 0, 7); c.stroke(); },
  offline: (c, x, y) => { c.beginPath(); c.moveTo(x - 3, y - 3); c.lineTo(x + 3, y + 3); c.moveTo(x + 3, y - 3); c.lineTo(x - 3, y + 3); c.stroke(); },
};

// A Leaflet layer with one canvas the size of the view; `paint(context, toPoint)` fills it.
const CanvasLayer = L.Layer.extend({
  initialize(paint) { this.paint = paint; },
  onAdd(map) {
    this.canvas = L.DomUtil.create("canvas", "fleet-canvas", map.getPane("overlayPane"));
    map.on("move zoomend resize viewreset", this.redraw, this);
    this.redraw();
  },
  onRemove(map) {
    map.off("move zoomend resize viewreset", this.redraw, this);
    cancelAnimationFrame(this.waiting);
    this.waiting = null;
    this.canvas.remove();
  },
  redraw() {
    const map = this._map;
    if (!map || this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      const { x, y } = map.getSize();
      const ratio = devicePixelRatio || 1;
      L.DomUtil.setPosition(this.canvas, map.containerPointToLayerPoint([0, 0]));
      this.canvas.width = x * ratio;
      this.canvas.height = y * ratio;
      this.canvas.style.width = `${x}px`;
      this.canvas.style.height = `${y}px`;
      const context = this.canvas.getContext("2d");
      context.scale(ratio, ratio);
      this.paint(context, (lat, lon) => map.latLngToContainerPoint(onMap(lat, lon)), x, y);
    });
  },
});

export class FleetMap {
  #store;
  #open;
  #map = null;
  #layer = null;
  #fitted = false;
  #targets = [];
  #counts = h("ul", { class: "fleet-counts" });
  #fit = h("button", { type: "button", class: "small fit", onclick: () => this.fit() });
  #box = h("div", { class: "map fleet-map" });
  #table;
  #duty;
  #news;

  // `open(id)` opens an alert; `go(params)` puts the table's order and filter into the address.
  constructor(store, open, go) {
    this.#store = store;
    this.#open = open;
    this.#table = new HelmetTable(store, go, (helmet) => this.#find(helmet), (helmet) => this.#details(helmet.helmet));
    this.#duty = new DutyList(store, (name) => this.#details(name));
    this.#news = new RidingNews(store);
    this.root = h("section", { class: "view fleet", id: "fleet", hidden: true }, h("div", { class: "fleet-head" }, this.#counts, this.#fit),
      h("div", { class: "fleet-body" }, this.#box, h("div", { class: "fleet-side" }, this.#duty.root, this.#table.root)));
    store.addEventListener("aside", ({ detail }) => detail.includes("riding") && !this.root.hidden && this.#showCounts());
    store.addEventListener("fleet", () => {
      this.refresh();
      if (!this.root.hidden) this.#news.ask();
      if (!this.root.hidden) this.#table.refresh();
    });
    store.addEventListener("alerts", () => this.refresh());
  }

  // To be called once the panel is on the page; `given` is what the address says of the table.
  show(given) {
    this.#news.ask();
    this.#table.render(given);
    this.#duty.render();
    this.root.setAttribute("aria-label", t("fleet"));
    this.#fit.textContent = t("fit");
    this.refresh();
  }

  // Leaflet listens to the window, and would hold on to all of this.
  destroy() {
    this.#map?.remove();
    this.#map = null;
  }

  refresh() {
    if (!this.root.offsetParent) return;
    this.#showCounts();
    if (!this.#map) this.#start();
    if (!this.#fitted) this.fit();
    this.#layer.redraw();
  }

  fit() {
    const helmets = [...this.#store.helmets.values()].filter((helmet) => helmet.lat_deg !== null).map((helmet) => onMap(helmet.lat_deg, helmet.lon_deg));
    const spots = helmets.concat(this.#marked().map((alert) => onMap(alert.position.lat_deg, alert.position.lon_deg)));
    if (!spots.length || !this.#map.getSize().y) return;
    this.#map.fitBounds(L.latLngBounds(spots).pad(0.08), { maxZoom: 15, animate: false });
    // Alerts are known before helmets are; the view settles once both are there.
    this.#fitted = helmets.length > 0;
  }

  #start() {
    this.#map = makeMap(this.#box).setView([30, 110], 4);
    this.#layer = new CanvasLayer((context, toPoint, width, height) => this.#paint(context, toPoint, width, height)).addTo(this.#map);
    this.#map.on("click", (event) => this.#click(event));
  }

  #marked() {
    return [...this.#store.alerts.values()].filter((alert) => alert.position && !FINAL.has(alert.state));
  }

  #showCounts() {
    const now = now_us();
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    let placeless = 0;
    for (const helmet of this.#store.helmets.values()) {
      counts[rideState(helmet, now)] += 1;
      if (helmet.lat_deg === null) placeless += 1;
    }
    this.#counts.replaceChildren(
      ...STATES.map((state) => h("li", { "data-ride": state }, legend(state), ` ${t(`ride.${state}`)} `, h("b", {}, counts[state].toLocaleString()))),
      h("li", { "data-ride": "alert" }, h("i", { class: "legend-alert" }, "◆"), ` ${t("ride.alert")} `, h("b", {}, String(this.#marked().length))),
      placeless ? h("li", { class: "muted" }, t("no_position", { n: placeless })) : "",
      this.#store.helmets.size === 0 ? h("li", { class: "muted" }, t("no_helmets")) : "",
      this.#rate());
  }

  #rate() {
    const total = this.#store.riding?.total;
    return h("li", { class: "fleet-rate", title: t("wear_rate_hint") }, `${t("wear_rate_today")} `, h("b", { class: wearIsLow(total) ? "bad-words" : "" }, wearPercent(total)),
      h("span", { class: "muted" }, ` ${wearBasis(total)}`));
  }

  #paint(context, toPoint, width, height) {
    const now = now_us();
    const style = getComputedStyle(document.documentElement);
    const byState = { offline: [], not_worn: [], stopped: [], riding: [] };
    this.#targets = [];
    for (const helmet of this.#store.helmets.values()) {
      if (helmet.lat_deg === null) continue;
      const { x, y } = toPoint(helmet.lat_deg, helmet.lon_deg);
      if (x < -5 || y < -5 || x > width + 5 || y > height + 5) continue;
      const state = rideState(helmet, now);
      byState[state].push([x, y]);
      this.#targets.push({ x, y, helmet, state });
    }
    context.lineWidth = 1.6;
    for (const [state, points] of Object.entries(byState)) {
      context.fillStyle = context.strokeStyle = style.getPropertyValue(`--${state}`).trim();
      for (const [x, y] of points) MARKS[state](context, x, y);
    }
    // The severest last, so that it lies on top; the click looks from the end.
    const ink = style.getPropertyValue("--text").trim();
    const fills = Object.fromEntries([1, 2, 3, 4].map((severity) => [severity, style.getPropertyValue(`--s${severity}`).trim()]));
    const marked = this.#marked().sort((a, b) => a.severity - b.severity);
    // Of marks on the same spot only the severest can be seen: in a storm of thousands the others are not drawn.
    const spots = new Map();
    for (const alert of marked) {
      const { x, y } = toPoint(alert.position.lat_deg, alert.position.lon_deg);
      if (x < -20 || y < -20 || x > width + 20 || y > height + 20) continue;
      const spot = `${Math.round(x / SPOT_PX)} ${Math.round(y / SPOT_PX)}`;
      spots.delete(spot);
      spots.set(spot, { x, y, alert });
    }
    for (const { x, y, alert } of spots.values()) {
      const size = UNTAKEN.has(alert.state) ? 13 : 9;
      context.beginPath();
      context.moveTo(x, y - size); context.lineTo(x + size, y); context.lineTo(x, y + size); context.lineTo(x - size, y); context.closePath();
      context.fillStyle = fills[alert.severity];
      context.fill();
      context.lineWidth = UNTAKEN.has(alert.state) ? 3 : 1.5;
      context.strokeStyle = ink;
      context.stroke();
      this.#targets.push({ x, y, alert });
      if (spots.size > NAMED) continue;
      context.font = "bold 12px system-ui";
      context.fillStyle = context.strokeStyle;
      context.textAlign = "center";
      context.fillText(alert.test ? `${TEST} ${who(alert)}` : who(alert), x, y - size - 4);
    }
  }

  #click(event) {
    const { x, y } = event.containerPoint;
    const near = this.#targets.filter((target) => Math.hypot(target.x - x, target.y - y) <= HIT_PX);
    const alert = near.findLast((target) => target.alert)?.alert;
    if (alert) return this.#open(alert.id);
    if (!near.length) return undefined;
    const nearest = near.reduce((best, target) => (Math.hypot(target.x - x, target.y - y) < Math.hypot(best.x - x, best.y - y) ? target : best));
    return this.#card(event.latlng, nearest);
  }

  #find(helmet) {
    const at = onMap(helmet.lat_deg, helmet.lon_deg);
    this.#map.setView(at, Math.max(this.#map.getZoom(), 15), { animate: false });
    this.#card(at, { helmet, state: rideState(helmet, now_us()) });
  }

  // Of a helmet that has not been heard of since the desk started only its hours are known.
  #details(name) {
    const helmet = this.#store.helmets.get(name);
    showHelmet(this.#store, name, (each) => rideState(each, now_us()), (helmet?.lat_deg ?? null) === null ? null : () => this.#find(helmet));
  }

  #card(at, target) {
    L.popup({ closeButton: true, autoPan: false }).setLatLng(at).setContent(helmetCard(target, () => this.#details(target.helmet.helmet))).openOn(this.#map);
  }
}

function helmetCard({ helmet, state }, details) {
  return h("div", {}, h("strong", {}, helmet.helmet), h("br", {}),
    `${t(`ride.${state}`)} · ${term("worn", helmet.worn)}`, h("br", {}),
    helmet.speed_mps === null ? "" : `${(helmet.speed_mps * 3.6).toFixed(0)} km/h · `,
    helmet.battery_pct === null ? "" : `${t("battery", { pct: helmet.battery_pct })} · `,
    t("heard_ago", { span: age(helmet.received_us) }), h("br", {}),
    helmet.faults.length ? h("span", { class: "bad-words" }, faultWords(helmet), " ") : "",
    h("button", { type: "button", class: "link", onclick: details }, t("details")));
}

function legend(state) {
  const canvas = h("canvas", { width: 24, height: 24, class: "legend", "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  context.lineWidth = 1.6;
  context.fillStyle = context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${state}`).trim();
  MARKS[state](context, 6, 6);
  return canvas;
}
