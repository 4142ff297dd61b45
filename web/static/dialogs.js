// The dialogs: how an alert ended, why it opens again, and the keys.

import { h } from "./dom.js";
import { both, t } from "./i18n.js";
import { WORDS } from "./words.js";

export const REASONS = ["injured", "unhurt", "helmet_dropped", "road_bump", "test", "device_fault", "other"];

const REAL = new Set(["injured", "unhurt"]); // Where it was an accident, it has to be said whether help was sent.

// Shows a form in a modal dialog. `check()` returns a fault as text, or null; resolves to true when it was sent.
function ask(title, body, check, yes = t("save")) {
  return new Promise((done) => {
    const fault = h("p", { class: "fault", role: "alert" });
    let sent = false;
    const submit = (event) => {
      event.preventDefault();
      const wrong = check();
      fault.textContent = wrong || "";
      if (wrong) return;
      sent = true;
      dialog.close();
    };
    const dialog = h("dialog", { "aria-label": title }, h("form", { onsubmit: submit, novalidate: true }, h("h2", {}, title), body, fault,
      h("div", { class: "dialog-acts" }, h("button", { type: "button", class: "act", onclick: () => dialog.close() }, t("cancel")),
        h("button", { class: "act primary" }, yes))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(sent);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Asks one question; true where the person says `yes`.
export function confirm(question, yes) {
  return ask(question, [], () => null, yes);
}

function noteField() {
  return h("textarea", { name: "note", rows: 3, maxlength: 2000, "aria-label": t("note"), placeholder: t("note") });
}

// How an alert ended: {reason, note, dispatched}, or null where the person thought better of it.
export async function askResolution(summary) {
  const note = noteField();
  const list = h("fieldset", { class: "reasons" }, h("legend", { class: "muted" }, summary), REASONS.map((reason) =>
    h("label", {}, h("input", { type: "radio", name: "reason", value: reason }), h("span", {}, both(reason === "other" ? "other_ask" : `reason.${reason}`)))));
  const reason = () => list.querySelector("input:checked")?.value ?? null;
  const sentOut = h("fieldset", { class: "dispatched" }, h("legend", {}, ...both("dispatched_ask")), ["yes", "no"].map((answer) =>
    h("label", {}, h("input", { type: "radio", name: "dispatched", value: answer }), h("span", {}, both(answer)))));
  const dispatched = () => sentOut.querySelector("input:checked")?.value ?? null;
  const sent = await ask(t("resolve_title"), [list, sentOut, note], () => {
    if (reason() === null) return t("reason_missing");
    if (REAL.has(reason()) && dispatched() === null) return t("dispatched_missing");
    return reason() === "other" && !note.value.trim() ? t("note_missing") : null;
  });
  return sent ? { reason: reason(), note: note.value.trim(), dispatched: dispatched() && dispatched() === "yes" } : null;
}

// Why an alert opens again: a note, or null.
export async function askReopen() {
  const note = noteField();
  return (await ask(t("reopen_title"), note, () => (note.value.trim() ? null : t("note_first")))) ? note.value.trim() : null;
}

export function showKeys() {
  const keys = [[t("key_move"), "key_move_what"], ["Enter", "key_open_what"], ["A", "key_ack_what"], ["R", "key_resolve_what"],
    ["U", "key_urgent_what"], ["N", "key_new_what"], ["F", "key_fleet_what"], ["H", "history"], ["S", "handover"], ["M", "key_mute_what"], ["Esc", "key_escape_what"], ["?", "key_help_what"]];
  const dialog = h("dialog", { class: "keys", "aria-label": t("keys_title") },
    h("h2", {}, t("keys_title")),
    h("dl", {}, keys.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(what))])),
    h("p", { class: "muted" }, WORDS.honest.join(" ")),
    h("button", { type: "button", class: "act", onclick: () => dialog.close() }, t("close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
