// Where an incident was: a map with a circle of accuracy, coordinates to copy, the age of the fix and its datum.

import { copy, h, ticking } from "./dom.js";
import { toGcj02 } from "./gcj02.js";
import { t, term } from "./i18n.js";
import { makeMap, mapDatum, onMap } from "./map.js";
import { age, fineSpan, now_us } from "./time.js";

const L = globalThis.L;

export class PlaceMap {
  #map = null;
  #layer = null;
  #helpers = null;
  #shown = null;
  #heard_us = 0;
  #box = h("div", { class: "map" });
  #words = h("p", { class: "place-words" });
  root = h("section", { class: "card place-card" }, this.#words, this.#box);

  // Shows a Position or says that there is none. The map keeps the zoom somebody chose.
  show(position, severity) {
    const key = JSON.stringify([position, severity]);
    if (key === this.#shown) return;
    this.#shown = key;
    if (!position) {
      this.#box.hidden = true;
      this.#words.replaceChildren(h("strong", {}, t("no_place")));
      return;
    }
    const fixed = h("span", { class: position.age_s > 30 ? "warn" : "" }, position.age_s === null ? t("fix_unknown") : t("fix_age", { span: fineSpan(position.age_s) }));
    this.#draw(position, severity, fixed);
  }

  // Shows where the helmet was last heard of, for want of a place of the alert: the age counts from now.
  showLast(position, severity) {
    this.#heard_us = now_us() - position.age_s * 1e6;
    const key = JSON.stringify([position.lat_deg, position.lon_deg, severity]);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#draw(position, severity, ticking(() => t("last_place", { span: age(this.#heard_us) }), { class: "warn last-place" }), "4 4");
  }

  // `dashes` marks a place that is not the alert's own.
  #draw(position, severity, fixed, dashes = null) {
    this.#box.hidden = false;
    const at = onMap(position.lat_deg, position.lon_deg);
    const coordinates = text([position.lat_deg, position.lon_deg]);
    const chinese = text(toGcj02(position.lat_deg, position.lon_deg));
    this.#words.replaceChildren(
      h("strong", { class: "coordinates" }, coordinates), " ",
      h("button", { type: "button", class: "small", onclick: () => copy(coordinates, t("copied", { datum: "WGS-84" })) }, t("copy")), " ",
      chinese !== coordinates && h("button", { type: "button", class: "small", id: "copy-gcj02", title: chinese, onclick: () => copy(chinese, t("copied", { datum: "GCJ-02" })) }, t("copy_gcj02")),
      h("span", { class: "place-facts" },
        fixed, " · ",
        h("span", {}, position.accuracy_m === null ? t("accuracy_none") : t("accuracy", { m: Math.round(position.accuracy_m) })), " · ",
        h("span", { class: "muted" }, t(`datum.${mapDatum()}`))),
    );
    const first = this.#map === null;
    if (first) this.#map = makeMap(this.#box);
    if (first) this.#map.setView(at, 16);
    else if (!this.#map.getBounds().contains(at)) this.#map.panTo(at);
    this.#layer?.remove();
    const ring = getComputedStyle(document.documentElement).getPropertyValue(`--s${severity}`).trim();
    this.#layer = L.layerGroup([
      ...(position.accuracy_m ? [L.circle(at, { radius: position.accuracy_m, color: ring, weight: 1, fillOpacity: 0.18 })] : []),
      L.circleMarker(at, { radius: dashes ? 9 : 7, color: dashes ? ring : "#fff", weight: dashes ? 3 : 2, dashArray: dashes, fillColor: ring, fillOpacity: dashes ? 0.25 : 1 }),
    ]).addTo(this.#map);
  }

  // The helpers around it as small squares, dashed so that nobody takes them for the rider.
  showHelpers(helpers) {
    this.#helpers?.remove();
    if (!this.#map) return;
    const ink = getComputedStyle(document.documentElement).getPropertyValue("--good").trim();
    this.#helpers = L.layerGroup(helpers.map((helper) =>
      L.circleMarker(onMap(helper.lat_deg, helper.lon_deg), { radius: 6, color: ink, weight: 3, dashArray: "3 2", fillOpacity: 0.2 })
        .bindTooltip(h("span", {}, `${term("helper", helper.kind)} ${helper.name}`)))).addTo(this.#map);
  }

  destroy() {
    this.#map?.remove();
  }
}

function text([lat_deg, lon_deg]) {
  return `${lat_deg.toFixed(6)}, ${lon_deg.toFixed(6)}`;
}
