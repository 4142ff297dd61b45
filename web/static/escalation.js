// Who is told next where nobody takes an alert, and when.

import { h, ticking } from "./dom.js";
import { t, term } from "./i18n.js";
import { now_us, span } from "./time.js";

let policy = null; // {tiers: {severity: [{after_s, channels, people}]}, repeat_s, untouched_s}, or null before we know.

const card = h("section", { class: "card", id: "plan" });

export function setPolicy(given) {
  policy = given;
  fill();
}

function told(tier) {
  return [...tier.people, ...tier.channels].join(t("comma"));
}

// The time left until the next step and whom it reaches; null where nobody waits, empty where nobody would be told.
export function nextStep(alert) {
  if (alert.state !== "open" || alert.opened_us === null) return null;
  // Looked up anew each second: the plan may come after the alert, and duty changes hands.
  return ticking(() => {
    const tiers = policy?.tiers[alert.severity] ?? [];
    if (tiers.length === 0) return "";
    const open_s = (now_us() - alert.opened_us) / 1e6;
    const coming = tiers.find((tier) => tier.after_s > open_s);
    if (coming) return t("escalates", { span: span(coming.after_s - open_s), to: told(coming) });
    const last = tiers.at(-1);
    return t("tells_again", { span: span(policy.repeat_s - ((open_s - last.after_s) % policy.repeat_s)), to: told(last) });
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
