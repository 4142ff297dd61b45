// What to do, in order. A tick is a note in the alert's timeline, so everybody sees it and it is never lost.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { phoneLink } from "./pieces.js";
import { clock } from "./time.js";

// The notes as they are stored. They mark what was done in alerts of the past: never change one.
const NOTES = {
  rider: "已打电话给骑手 Called the rider",
  contact: "已打给紧急联系人 Called the emergency contact",
  nearby: "已请附近的人前往 Asked somebody nearby to go",
  emergency: "已拨打 120/122 Called 120/122",
  supervisor: "已告知主管 Told the supervisor",
};

// The step a note ticks or takes back: {step, done}, or null where it is an ordinary note.
export function stepOf(note) {
  const step = Object.keys(NOTES).find((key) => note === `☑ ${NOTES[key]}` || note === `☐ ${NOTES[key]}`);
  return step ? { step, done: note.startsWith("☑") } : null;
}

// The newest word on each step: {step: timeline entry}, without those that were taken back.
function ticks(timeline) {
  const last = {};
  for (const entry of [...timeline].sort((a, b) => a.seq - b.seq)) {
    const ticked = entry.type === "noted" ? stepOf(entry.detail.note) : null;
    if (!ticked) continue;
    if (ticked.done) last[ticked.step] = entry;
    else delete last[ticked.step];
  }
  return last;
}

// The address belongs to the desk: scroll there instead of following the link.
function toNearby(event) {
  event.preventDefault();
  const panel = document.getElementById("nearby");
  panel.scrollIntoView({ block: "center" });
  panel.focus({ preventScroll: true });
}

export class Checklist {
  #rows = {};
  #reveal;
  root = h("section", { class: "card checklist", id: "checklist" });

  #contact = h("span", { class: "step-links" });
  #contactOf = null;

  // `write(note)` records a note, resolves to true where it was written; `openContact()` to {name, phone} or null.
  constructor(write, openContact) {
    this.#reveal = async () => {
      const found = await openContact();
      if (found) this.#contact.replaceChildren(found.name, " ", phoneLink(found));
    };
    const heading = h("h2", {}, t("checklist"));
    const steps = Object.keys(NOTES).map((step, i) => {
      const box = h("input", {
        type: "checkbox", id: `step-${step}`,
        onchange: async () => {
          const done = box.checked;
          box.disabled = true;
          // What counts is what the desk has written down, not what was clicked.
          if (!(await write(`${done ? "☑" : "☐"} ${NOTES[step]}`))) box.checked = !done;
          box.disabled = false;
        },
      });
      const by = h("small", { class: "by" });
      const links = step === "contact" ? this.#contact : step === "nearby" ? h("a", { class: "step-links", href: "#nearby", onclick: toNearby }, t("see_nearby")) : step === "emergency" && h("span", { class: "step-links" },
        ["120", "122"].map((number) => [h("a", { class: "phone", href: `tel:${number}` }, `☎ ${number}`), " "]));
      this.#rows[step] = { box, by, node: h("li", {}, box,
        h("div", {}, h("label", { for: `step-${step}` }, h("b", {}, `${i + 1}. ${t(`step.${step}`)}`)), h("small", {}, t(`how.${step}`)), links, by)) };
      return this.#rows[step].node;
    });
    this.root.setAttribute("aria-label", t("checklist"));
    this.root.append(heading, h("ol", { class: "steps" }, steps));
  }

  // The contact is shown once somebody opens it: each opening is written down with a name.
  #showContact(alert) {
    const key = `${alert.id} ${alert.rider?.has_contact}`;
    if (key === this.#contactOf) return;
    this.#contactOf = key;
    this.#contact.replaceChildren(alert.rider?.has_contact
      ? h("button", { type: "button", class: "small", id: "open-contact", title: t("contact_audited"), onclick: this.#reveal }, t("contact_open"))
      : h("small", {}, t("contact_none")));
  }

  show(alert) {
    this.#showContact(alert);
    const done = ticks(alert.timeline ?? []);
    const next = Object.keys(NOTES).find((step) => !done[step]);
    for (const [step, row] of Object.entries(this.#rows)) {
      if (!row.box.disabled) row.box.checked = Boolean(done[step]);
      row.by.textContent = done[step] ? `✓ ${done[step].actor} ${clock(done[step].at_us)}` : "";
      row.node.className = done[step] ? "done" : step === next ? "next" : "";
    }
  }
}
