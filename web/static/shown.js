// Tells the desk which alerts this page has painted: each once, many together. The first page of all counts.

import * as api from "./api.js";
import { FINAL } from "./store.js";
import { now_us } from "./time.js";

const FRESH_US = 600e6; // What is older has been shown before, or to nobody: then nobody needs to know when now.
const MOST = 500;

export function reportShown(store) {
  const told = new Set();
  let wait = 0;
  const send = async () => {
    wait = 0;
    if (document.hidden || !store.me) return;
    const ids = [...store.alerts.values()]
      .filter((alert) => !told.has(alert.id) && !FINAL.has(alert.state) && alert.alerted_us > now_us() - FRESH_US).map((alert) => alert.id).slice(0, MOST);
    if (!ids.length) return;
    for (const id of ids) told.add(id);
    await api.reportShown(ids).catch(() => ids.forEach((id) => told.delete(id)));
  };
  // After the frame in which the views have drawn them.
  store.addEventListener("alerts", () => {
    wait ||= requestAnimationFrame(() => setTimeout(send));
  });
}
