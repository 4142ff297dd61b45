// What has been written down about an alert: its timeline, and the features and points of the detector.

import { stepOf } from "./checklist.js";
import { h } from "./dom.js";
import { english, known, t, term } from "./i18n.js";
import { pointBars } from "./seen.js";
import { clock } from "./time.js";

const ACTORS = { detector: ["检测程序", "detector"], rider: ["骑手", "rider"], desk: ["报警台", "desk"] };

function actor(name) {
  return ACTORS[name]?.[english() ? 1 : 0] ?? name;
}

// What comes again in an SOS is a press of the button.
function pressed(name, kind) {
  return name === "impact" && kind === "sos" ? "press" : name;
}

// An entry's detail in words: what is known by name in our language, nothing of what only machines read.
function words(detail, kind) {
  return [
    detail.because && term("because", pressed(detail.because, kind)),
    (detail.owner || detail.from) && t("taken_from", { owner: detail.owner || detail.from }),
    detail.stage && `${term("severity", detail.severity)} · ${term("stage", detail.stage)}`,
    english() ? detail.reason_en : detail.reason_zh,
    detail.reason && term("reason", detail.reason),
    detail.helper && `${term("help", detail.status)}: ${term("helper", detail.kind)} ${detail.name}`,
    typeof detail.dispatched === "boolean" && t(detail.dispatched ? "dispatched_yes" : "dispatched_no"),
    detail.together && t("together", { n: detail.together }),
    noteWords(detail.note),
  ].filter(Boolean);
}

// A note that ticks the checklist is shown in the page's language; what people wrote stays as they wrote it.
function noteWords(note) {
  const ticked = stepOf(note);
  return ticked ? `${ticked.done ? "☑" : "☐"} ${t(`step.${ticked.step}`)}` : note;
}

export function timeline({ timeline: entries, kind }) {
  const newest = [...entries].sort((a, b) => b.seq - a.seq);
  return h("ol", { class: "entries" }, newest.map((entry) => h("li", {},
    h("time", {}, clock(entry.at_us)), " ", h("b", {}, term("type", pressed(entry.type, kind))), " ", h("span", { class: "actor", title: entry.address || null }, actor(entry.actor)),
    words(entry.detail, kind).map((text) => h("span", { class: "entry-words" }, text)))));
}

const YES_NO = new Set(["hidden_clip", "lone_sample", "riding"]);

function number(name, value) {
  if (name === "worn") return term("worn", value);
  if (YES_NO.has(name)) return t(value ? "yes" : "no");
  return Number.isInteger(value) ? String(value) : Number(value.toPrecision(4)).toString();
}

export function evidence(alert) {
  const features = alert.features || {};
  const points = alert.points || {};
  const table = (group, heading, values) => h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, heading), h("th", { scope: "col" }, t("value")))),
    h("tbody", {}, Object.entries(values).map(([name, value]) => h("tr", {},
      h("th", { scope: "row" }, known(`${group}.${name}`) && `${t(`${group}.${name}`)} `, h("code", {}, name)), h("td", {}, number(name, value))))));
  return [
    h("summary", {}, t("evidence"), h("span", { class: "muted" }, ` ${alert.detector || ""}`)),
    h("p", { class: "muted" }, t("honest")),
    h("div", { class: "evidence-tables" }, pointBars(points), table("feature", t("feature"), features)),
    h("p", { class: "muted" }, `${t("helmet")} ${alert.helmet} · boot ${alert.boot ?? "–"} · ${t("frame")} ${alert.frame_seq ?? "–"} · ${alert.id}`),
  ];
}
