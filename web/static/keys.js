// The keyboard: one letter for each thing that has to be quick.

function typing(target) {
  // A dialog keeps the keys to itself, also where what had the focus in it is gone.
  return target.closest("input, textarea, select") !== null || document.querySelector("dialog[open]") !== null;
}

// Listens until `signal`. Letters work with the Chinese input method on, too: the physical key counts.
export function listenKeys(desk, acts, siren, signal) {
  const current = () => desk.queue.focusedId ?? desk.incident.id;
  const urgent = () => {
    const id = desk.banner.worstId;
    if (id) acts.open(id);
  };
  const keys = {
    KeyJ: () => desk.queue.step(1), ArrowDown: () => desk.queue.step(1),
    KeyK: () => desk.queue.step(-1), ArrowUp: () => desk.queue.step(-1),
    KeyA: () => (current() ? acts.acknowledge(current()) : urgent()),
    KeyR: () => current() && acts.resolve(current()),
    KeyU: urgent,
    KeyN: () => desk.queue.release(),
    KeyM: () => siren.toggleMute(),
    KeyF: () => desk.go({ view: desk.where.view === "fleet" ? null : "fleet", alert: null }),
    KeyH: () => desk.go({ view: "history", alert: null }),
    KeyS: () => desk.go({ view: "handover", alert: null }),
    Escape: () => (desk.where.alert || desk.where.view) && desk.go({ alert: null, view: null }),
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !/^(Arrow|Key[JK])/.test(event.code) || typing(event.target)) return;
    if (event.key === "?" || event.key === "？") return void (event.preventDefault(), desk.showKeys());
    const action = event.shiftKey ? null : keys[event.code];
    // Arrows inside a map move the map.
    if (!action || (event.code.startsWith("Arrow") && event.target.closest(".map"))) return;
    event.preventDefault();
    action();
  }, { signal });
}
