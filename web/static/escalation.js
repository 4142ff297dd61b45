// Who is told next where nobody takes an alert, and when.

import { h, ticking } from "./dom.js";
import { t, term } from "./i18n.js";
import { holding } from "./silences.js";
import { clock, now_us, span } from "./time.js";

let policy = null; // {tiers: {severity: [{after_s, channels, people}]}, repeat_s, untouched_s}, or null before we know.

const card = h("section", { class: "card", id: "plan" });

export function setPolicy(given) {
  policy = given;
  fill();
}

function told(tier) {
  return [...tier.people, ...tier.channels].join(t("comma"));
}

// Until when a silence holds the messages about an alert back, or 0: as `silenceable` and `until_us` of alerts/silences.py.
function heldUntil_us(alert, silences) {
  const crash = ["head_strike", "fall"].includes(alert.kind);
  if (alert.severity >= 3 || (crash && alert.worn !== 1) || alert.kind === "sos" || alert.severity_basis === "lower_bound" || alert.signal_lost || alert.test) return 0;
  const covers = ({ helmets, city, station }) => helmets.includes(alert.helmet)
    || (Boolean(alert.rider && (city || station)) && ["", alert.rider.city].includes(city) && ["", alert.rider.station].includes(station));
  return Math.max(0, ...holding(silences).filter(covers).map((each) => each.until_us));
}

// The next step of the plan for something that opened at `opened_us`; empty where nobody would be told. Where the first
// `passedOver` tiers could not be reached, the one after them was called at once.
function stepWords(opened_us, severity, passedOver = 0) {
  const tiers = policy?.tiers[severity] ?? [];
  if (tiers.length === 0) return "";
  const open_s = (now_us() - opened_us) / 1e6;
  const coming = tiers.find((tier, number) => tier.after_s > open_s && !(passedOver && number <= passedOver));
  if (coming) return t("escalates", { span: span(coming.after_s - open_s), to: told(coming) });
  const last = tiers.at(-1);
  const since_s = (((open_s - last.after_s) % policy.repeat_s) + policy.repeat_s) % policy.repeat_s; // Negative where it was called early.
  return t("tells_again", { span: span(policy.repeat_s - since_s), to: told(last) });
}

// The time left until the next step and whom it reaches, or why nobody is told; null where nobody waits.
export function nextStep(alert, store) {
  if (alert.state !== "open" || alert.opened_us === null) return null;
  // Looked up anew each second: the plan may come after the alert, duty changes hands, storms and silences come and go.
  return ticking(() => {
    const storm = store.stormOf(alert);
    if (storm?.opened_us === null) return t("storm_taken");
    if (storm) {
      const step = stepWords(storm.opened_us, storm.severity);
      return step && t("storm_step", { n: storm.ids.length, step });
    }
    const held_us = heldUntil_us(alert, store.silences);
    return held_us ? t("held_until", { clock: clock(held_us) }) : stepWords(alert.opened_us, alert.severity, store.told.get(alert.id)?.passed_over);
  }, { class: "escalation" });
}

// The whole plan, as a table with a row for each severity; it follows the policy by itself.
export function planCard() {
  fill();
  return card;
}

function fill() {
  if (!policy) return;
  const told_at = (tier) => h("li", {}, h("b", {}, tier.after_s ? t("after", { span: span(tier.after_s) }) : t("at_once")), ` ${told(tier)}`);
  card.replaceChildren(
    h("h2", {}, t("plan")),
    h("table", { class: "grid plan" }, h("tbody", {}, [4, 3, 2, 1].map((severity) => h("tr", {},
      h("th", { scope: "row" }, term("severity", severity)),
      h("td", {}, policy.tiers[severity]?.length ? h("ol", {}, policy.tiers[severity].map(told_at)) : h("span", { class: "bad-words" }, t("plan_nobody"))))))),
    h("p", { class: "muted" }, t("plan_note", { again: span(policy.repeat_s), untouched: span(policy.untouched_s) })));
}
