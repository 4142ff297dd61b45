// What the detector saw, as figures to look at: how the helmet lay, how the ride ended, how long nothing moved, and
// what each piece of evidence was worth.

import { h, svg } from "./dom.js";
import { known, t, term } from "./i18n.js";
import { fineSpan } from "./time.js";

const LONG_S = 10; // The detector watches for so long after an impact.

// A helmet from the side, turned as far as the real one was against how it sat before.
function helmet(tilt_deg) {
  return svg("svg", { class: "figure", viewBox: "-14 -14 28 28", "aria-hidden": "true" },
    svg("path", { class: "ground", d: "M-13 12.5H13" }),
    svg("g", { transform: `rotate(${tilt_deg})` }, svg("path", { class: "shell", d: "M-9 5A9 9 0 1 1 9 1L9 5H2L1 1" }), svg("path", { class: "visor", d: "M1 1L9 -1" })));
}

// Two bars, before and after, on one scale.
function bars(before, after) {
  const width = (value) => 26 * (value / Math.max(before, after, 1));
  return svg("svg", { class: "figure", viewBox: "0 0 28 28", "aria-hidden": "true" },
    svg("rect", { class: "before", x: 1, y: 5, height: 7, width: Math.max(1, width(before)) }),
    svg("rect", { class: "after", x: 1, y: 16, height: 7, width: Math.max(1, width(after)) }));
}

// A clock face filled as far as the helmet lay still.
function face(share) {
  const [x, y] = [Math.sin(2 * Math.PI * share) * 11, -Math.cos(2 * Math.PI * share) * 11];
  return svg("svg", { class: "figure", viewBox: "-14 -14 28 28", "aria-hidden": "true" }, svg("circle", { class: "rim", r: 11 }),
    share >= 1 ? svg("circle", { class: "part", r: 11 }) : svg("path", { class: "part", d: `M0 0V-11A11 11 0 ${share > 0.5 ? 1 : 0} 1 ${x} ${y}Z` }));
}

const kmh = (mps) => Math.round(mps * 3.6);

// The figures that the detection has numbers for, or nothing.
export function seen({ features = {} }) {
  const { tilt_deg, speed_mps, speed_after_mps, still_s } = features;
  const figure = (name, picture, words) => h("li", { "data-seen": name }, picture, h("span", {}, h("small", { class: "muted" }, t(`seen.${name}`)), h("b", {}, words)));
  const found = [
    tilt_deg >= 0 && figure("tilt", helmet(tilt_deg), `${Math.round(tilt_deg)}°`),
    speed_mps >= 0 && speed_after_mps >= 0 && figure("speed", bars(speed_mps, speed_after_mps), `${kmh(speed_mps)} → ${kmh(speed_after_mps)} km/h`),
    still_s >= 0 && figure("still", face(Math.min(1, still_s / LONG_S)), fineSpan(still_s)),
  ].filter(Boolean);
  return found.length ? h("ul", { class: "seen-figures", "aria-label": t("seen") }, found) : "";
}

// What speaks for a crash to the right, what speaks against it to the left, the weightiest first.
export function pointBars(points) {
  const each = Object.entries(points).sort(([, a], [, b]) => Math.abs(b) - Math.abs(a));
  const most = Math.max(1, ...each.map(([, value]) => Math.abs(value)));
  const bar = (value) => svg("svg", { class: "point-bar", viewBox: "-50 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: value > 0 ? "for" : "against", x: Math.min(0, 48 * value / most), y: 1, width: Math.abs(48 * value / most), height: 8 }),
    svg("rect", { class: "zero", x: -0.4, width: 0.8, height: 10 }));
  const words = (name) => (known(`point.${name}`) ? term("point", name) : h("code", {}, name));
  return h("table", { class: "points" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("points")), h("th", { scope: "col", class: "sides" }, h("span", {}, t("against")), h("span", {}, t("for"))), h("th", { scope: "col" }, t("value")))),
    h("tbody", {}, each.map(([name, value]) => h("tr", {},
      h("th", { scope: "row" }, words(name)), h("td", {}, bar(value)), h("td", {}, value > 0 ? `+${value}` : String(value))))));
}
