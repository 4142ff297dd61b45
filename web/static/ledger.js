// Who was told about an alert, by which channel, and what the service said: nothing is hidden, failures least.

import { h } from "./dom.js";
import { t, term } from "./i18n.js";
import { clock, delay } from "./time.js";

export function ledger(deliveries) {
  const newest = [...deliveries].sort((a, b) => b.queued_us - a.queued_us);
  return [
    h("h2", {}, t("ledger")),
    newest.length ? h("ol", { class: "entries deliveries" }, newest.map(line)) : h("p", { class: "muted" }, t("ledger_none")),
  ];
}

// One delivery in words: where it went, why, to whom, how it ended.
export function line(each) {
  const tier = each.tier === null ? "" : ` · ${t("tier", { n: each.tier + 1 })}`;
  return h("li", { class: "delivery", "data-state": each.state },
    h("time", {}, clock(each.queued_us)), " ", h("b", {}, each.channel), " ",
    h("span", { class: "delivery-state" }, term("delivery", each.state)),
    h("span", { class: "entry-words" }, `${term("notice", each.reason)}${tier}${each.people.length ? ` → ${each.people.join(t("comma"))}` : ""}`),
    h("span", { class: "entry-words muted" }, [
      each.ended_us !== null && each.state === "delivered" && t("took", { span: delay(each.queued_us, each.ended_us) }),
      each.tries > 1 && t("tries", { n: each.tries }),
      each.state === "waiting" && each.next_us !== null && t("next_try", { clock: clock(each.next_us) }),
      each.state !== "delivered" && each.code,
      each.state !== "delivered" && each.sentence,
      each.carried_by && t("in_digest"),
    ].filter(Boolean).join(" · ")));
}
