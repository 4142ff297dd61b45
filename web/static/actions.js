// What a person can do to an alert, with the answers they get: taken, too late, not allowed, not reached.

import * as api from "./api.js";
import { askReopen, askResolution, confirm } from "./dialogs.js";
import { toast } from "./dom.js";
import { t, term } from "./i18n.js";
import { TEST, severityWord, who } from "./pieces.js";
import { FINAL } from "./store.js";

export class Actions {
  #store;
  #expired;

  // `expired()` is called when the desk no longer knows who we are.
  constructor(store, expired) {
    this.#store = store;
    this.#expired = expired;
  }

  async acknowledge(id) {
    const alert = this.#store.alerts.get(id);
    if (alert?.state === "acknowledged" && !this.#store.isMine(alert)) {
      toast(t("has_it", { owner: alert.owner }), "warn");
    } else if (alert && !FINAL.has(alert.state) && alert.state !== "acknowledged") {
      const mine = await this.#send(id, () => api.acknowledge(id));
      if (mine) toast(t("now_yours"), "good");
    }
  }

  // Takes over what somebody else has: they are named, so that nobody takes it from whoever has it by then.
  async take_over(id) {
    const alert = this.#store.alerts.get(id);
    if (alert?.state !== "acknowledged" || this.#store.isMine(alert)) return;
    if (!(await confirm(t("take_over_sure", { owner: alert.owner }), t("take_over")))) return;
    if (await this.#send(id, () => api.acknowledge(id, alert.owner))) toast(t("now_yours"), "good");
  }

  async resolve(id) {
    const alert = this.#store.alerts.get(id);
    if (!alert || FINAL.has(alert.state)) return;
    if (alert.state !== "acknowledged") return void toast(t("not_yours_yet"), "warn");
    const from = this.#store.isMine(alert) ? "" : alert.owner;
    if (from && !(await confirm(t("close_others", { owner: from }), t("resolve")))) return;
    const end = await askResolution(`${alert.test ? `${TEST} · ` : ""}${severityWord(alert)} · ${term("kind", alert.kind)} · ${who(alert)}`);
    if (end) await this.#send(id, () => api.resolve(id, { ...end, from }));
  }

  // Takes a whole storm, {storm: id}, or the alerts of a list, {ids}, after asking; says which were not taken.
  async acknowledgeMany(which, n) {
    if (!(await confirm(t("take_all_sure", { n }), t("take_all", { n })))) return;
    try {
      // The feed brings the alerts as they are now.
      const { taken, problems } = await api.acknowledgeMany(which);
      const [first] = problems;
      if (!first) toast(t("taken_all", { n: taken.length }), "good");
      else toast(t("taken_some", { n: taken.length, not: problems.length, why: first.owner ? t("has_it", { owner: first.owner }) : first.detail }), "warn");
    } catch (error) {
      this.#said(error);
    }
  }

  // The rider's emergency contact, {name, phone}, or null after saying why not. Each opening is written down.
  async contact(id) {
    try {
      return await api.openContact(id);
    } catch (error) {
      if (error.status === 409) toast(t("contact_first"), "warn");
      else this.#said(error);
      return null;
    }
  }

  async reopen(id) {
    const note = await askReopen();
    if (note !== null) await this.#send(id, () => api.reopen(id, note));
  }

  // True where the note has been written down.
  async note(id, text) {
    if (text) return (await this.#send(id, () => api.addNote(id, text))) !== null;
    toast(t("note_first"), "warn");
    return false;
  }

  async help(id, helper, status) {
    await this.#send(id, () => api.recordHelp(id, helper, status));
  }

  // The alert after the change, or null after saying why not.
  async #send(id, request) {
    try {
      const alert = await request();
      this.#store.put(alert);
      return alert;
    } catch (error) {
      if (error.status === 409) await this.#refused(id, error);
      else this.#said(error);
      return null;
    }
  }

  #said(error) {
    if (error.status === 401) this.#expired();
    else toast(error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }), "bad");
  }

  // Someone was faster: says who, and shows the alert as it is now.
  async #refused(id, error) {
    const { timeline, ...alert } = await api.getAlert(id).catch(() => ({}));
    if (alert.id) this.#store.put(alert);
    const taken = alert.state === "acknowledged" && !this.#store.isMine(alert);
    toast(taken ? t("has_it", { owner: alert.owner }) : t("failed", { detail: error.message }), "warn");
  }
}
