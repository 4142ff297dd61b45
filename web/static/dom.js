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
