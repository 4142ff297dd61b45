// What this account may do: an operator does all that an alert needs; the rest is for supervisors, and the page says so.

import { h } from "./dom.js";
import { t } from "./i18n.js";

export function supervises(store) {
  return store.me?.role === "supervisor";
}

// Stands where a supervisor has something to press, and says what that is.
export function forSupervisors(what) {
  return h("p", { class: "muted for-supervisors" }, t(`supervisors.${what}`));
}
