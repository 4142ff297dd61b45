// Small parts of an alert that the list, the incident and the banner show alike.

import { h, svg, ticking } from "./dom.js";
import { english, t, term } from "./i18n.js";
import { age, now_us, span } from "./time.js";

// A shape for each severity, so that colour is never the only sign.
const SHAPES = {
  1: () => svg("circle", { cx: 12, cy: 12, r: 8 }),
  2: () => svg("path", { d: "M12 2 22 12 12 22 2 12Z" }),
  3: () => svg("path", { d: "M12 2 23 21H1Z" }),
  4: () => svg("path", { d: "M8 1h8l7 7v8l-7 7H8l-7-7V8Z" }),
};

const MARKS = { 3: "M11 9h2v6h-2zM11 16.5h2v2h-2z", 4: "M11 5h2v9h-2zM11 16h2v3h-2z" };

export function severityShape(severity) {
  const shape = (SHAPES[severity] || SHAPES[1])();
  shape.classList.add("fill");
  return svg("svg", { class: "shape", viewBox: "0 0 24 24", "aria-hidden": "true" },
    shape, MARKS[severity] && svg("path", { class: "mark", d: MARKS[severity] }));
}

// The word for a severity, with ≥ where the sensor only gives a lower bound.
export function severityWord(alert) {
  const least = alert.severity_basis === "lower_bound" ? "≥ " : "";
  return `${least}${term("severity", alert.severity)}`;
}

export function severityBadge(alert) {
  return h("span", { class: `severity s${alert.severity}` }, severityShape(alert.severity), h("span", {}, severityWord(alert)));
}

export function who(alert) {
  if (alert.forgotten) return t("forgotten");
  return alert.rider?.name || alert.helmet;
}

export function reason(alert) {
  return (english() ? alert.reason_en : alert.reason_zh) || alert.reason_en || alert.reason_zh || "";
}

export function phoneLink(rider) {
  if (!rider?.phone) return null;
  return h("a", { class: "phone", href: `tel:${rider.phone.replace(/[^+\d]/g, "")}` }, "☎ ", rider.phone);
}

// The rider's time to say "I'm OK". It goes on after the detector has confirmed and the alert has opened.
export function countdown(alert) {
  if (alert.answer_by_us === null || !["pending", "open"].includes(alert.state)) return null;
  return ticking(() => {
    const left_s = Math.ceil((alert.answer_by_us - now_us()) / 1e6);
    return left_s > 0 ? t("cancel_in", { s: left_s }) : t("cancel_over");
  }, { class: "countdown" });
}

// What is to be said about the state in one line: the countdown, who has it, or how it ended.
export function stateLine(alert) {
  const word = h("span", { class: `state ${alert.state}` }, term("state", alert.state));
  const left = countdown(alert);
  if (left) return [word, left];
  if (alert.state === "resolved") return [word, h("span", {}, `${term("reason", alert.resolution.reason)} · ${alert.resolution.by}`)];
  if (alert.owner) return [word, h("span", { class: "owner" }, alert.owner)];
  return [word];
}

// A drill says so wherever it is shown, in both languages on either page.
export const TEST = "测试 TEST";

export function testMark(alert) {
  return alert.test ? h("span", { class: "tag test" }, TEST) : null;
}

export function ageOf(us, key = "ago") {
  return ticking(() => t(key, { span: age(us) }), { class: "age" });
}

export function tags(alert) {
  return [
    testMark(alert),
    alert.late && h("span", { class: "tag late" }, `${t("late")} ${span((alert.received_us - alert.occurred_us) / 1e6)}`),
    alert.signal_lost && h("span", { class: "tag lost" }, t("signal_lost")),
    alert.impacts_us.length > 1 && h("span", { class: "tag" }, t(alert.kind === "sos" ? "presses" : "impacts", { n: alert.impacts_us.length })),
  ];
}

const NEAR_M = 1000; // Farther away a place says little about where somebody lies.

// The nearest place with a name where one is near, else coordinates; `known`: [{name, lat_deg, lon_deg}].
export function placeShort(position, known) {
  if (!position) return t("no_place");
  const [lat, lon] = [position.lat_deg, position.lon_deg];
  const east = Math.cos((lat * Math.PI) / 180);
  const metres = (each) => 111_195 * Math.hypot(each.lat_deg - lat, (each.lon_deg - lon) * east);
  const [nearest, m] = known.reduce((best, each) => (metres(each) < best[1] ? [each, metres(each)] : best), [null, NEAR_M]);
  return nearest ? t("near", { name: nearest.name, m: Math.round(m / 10) * 10 }) : `${lat.toFixed(4)}, ${lon.toFixed(4)}`;
}

// A bar from 0 to 1 with an optional mark where the target lies; the number stands beside it.
export function bar(share, tone, mark = null) {
  return svg("svg", { class: `bar-chart ${tone}`, viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "ground", width: 100, height: 10 }), svg("rect", { class: "fill", width: 100 * Math.min(1, share ?? 0), height: 10 }),
    mark !== null && svg("rect", { class: "target", x: 100 * mark - 0.5, width: 1, height: 10 }));
}
