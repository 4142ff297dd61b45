// Wear rates and duty: asked for while somebody looks at the fleet, and put into words.

import * as api from "./api.js";
import { t } from "./i18n.js";
import { hours, now_us } from "./time.js";

const EVERY_MS = 20_000;
const LOW = 0.8;
const LEAST_S = 300; // A share of less is of one ride to the corner.
export const DUTY_LISTED = 50;

// Asks again at most every few seconds; the store's views hear of it as "riding" and "duty" among the asides.
export class RidingNews {
  #store;
  #askedAt = -EVERY_MS;

  constructor(store) {
    this.#store = store;
  }

  ask() {
    if (performance.now() - this.#askedAt < EVERY_MS) return;
    this.#askedAt = performance.now();
    this.#riding().then((riding) => this.#store.putAside({ riding }), () => null);
    api.getDuty(DUTY_LISTED).then((duty) => this.#store.putAside({ duty }), () => null);
  }

  async #riding() {
    const byHelmet = new Map();
    let page, after = "";
    do {
      page = await api.getRiding(after);
      for (const each of page.helmets) byHelmet.set(each.helmet, each);
      after = page.next;
    } while (after);
    return { day: page.day, total: page.total, byHelmet };
  }
}

function known_s(ridden) {
  return ridden ? ridden.worn_s + ridden.not_worn_s : 0;
}

// Share of the riding time of known wear with the helmet on; null where nothing is known.
export function wearShare(ridden) {
  return known_s(ridden) ? ridden.worn_s / known_s(ridden) : null;
}

export function wearIsLow(ridden) {
  return known_s(ridden) >= LEAST_S && wearShare(ridden) < LOW;
}

// Rounded down: what is marked as below 80 % never reads 80 %.
export function wearPercent(ridden) {
  const share = wearShare(ridden);
  return share === null ? "–" : `${Math.floor(100 * share + 1e-9)} %`;
}

// How long the share rests on, and what is not known.
export function wearBasis(ridden) {
  if (!known_s(ridden) && !ridden?.unknown_s) return t("wear_rate_none");
  return [t("wear_rate_of", { known: hours(known_s(ridden)) }), ridden.unknown_s >= 60 && t("wear_rate_unknown", { unknown: hours(ridden.unknown_s) })].filter(Boolean).join(" · ");
}

export function dutyLevel(each, duty) {
  return each.worked_s >= duty.limit_s ? "over" : each.worked_s >= duty.warn_s ? "near" : "";
}

// What a rider does now; what has not been heard of for some minutes is not "riding".
export function dutyNow(each) {
  const silent_s = (now_us() - each.heard_us) / 1e6;
  if (silent_s > 300) return t("duty_unheard", { span: hours(silent_s) });
  return each.works ? t("duty_rides") : t("duty_rests", { span: hours(each.rest_s) });
}
