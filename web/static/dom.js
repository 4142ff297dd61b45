// Makes elements. Text always goes in as text nodes, so nothing the server says can become markup.

function build(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function h(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

export function svg(tag, props, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

// An element whose text is made anew every second: an age, a countdown.
export function ticking(make, props) {
  const node = h("span", props);
  node.classList.add("tick");
  node.update = () => {
    const text = make();
    if (node.textContent !== text) node.textContent = text;
  };
  node.update();
  return node;
}

export function tickAll() {
  for (const node of document.querySelectorAll(".tick")) node.update();
}

// A function that refreshes `node`, but not under somebody's pointer: then once the pointer has left.
export function calmly(node, refresh) {
  let over = false, due = false;
  node.addEventListener("pointerenter", (event) => { over = event.pointerType !== "touch"; });
  node.addEventListener("pointerleave", () => {
    over = false;
    if (due) refresh();
    due = false;
  });
  return () => {
    if (over || node.contains(document.activeElement)) due = true;
    else refresh();
  };
}

// Does `work`, which makes parts of `root` anew, and gives the keyboard back to the part at the same place.
export function keepFocus(root, work) {
  const path = [];
  for (let node = document.activeElement; node !== root && node?.parentElement; node = node.parentElement) {
    path.unshift([...node.parentElement.children].indexOf(node));
  }
  const inside = root.contains(document.activeElement) && document.activeElement !== root;
  work();
  if (inside) path.reduce((node, i) => node?.children[i], root)?.focus({ preventScroll: true });
}

export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS browsers have no clipboard object; the old way still works.
    const field = h("textarea", { class: "unseen" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast(said);
}

// Hands a file to the person.
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

let toastTimer = 0;

// Says one sentence at the foot of the page.
export function toast(text, tone = "info") {
  const box = document.getElementById("toasts");
  box.replaceChildren(h("p", { class: `toast ${tone}` }, text));
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.replaceChildren(), 8000);
}

// Interrupts a screen reader; for new alerts only.
export function announce(text) {
  document.getElementById("announce").textContent = text;
}
