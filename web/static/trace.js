// The acceleration around an incident as a chart: resultant and axes in g, the threshold of a strike, the range, the impacts.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const STRIKE_G = 12; // From here on a sharp blow is a head strike: detectors.strike_g as it comes.

// Axes and resultant in g, and seconds relative to `zero_us`, of a Trace (base64 int16 little-endian, n × 3).
export function decode(trace, zero_us) {
  const bytes = Uint8Array.from(atob(trace.acc), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const n = Math.floor(bytes.length / 6);
  const columns = [new Float64Array(n), new Float32Array(n), new Float32Array(n), new Float32Array(n), new Float32Array(n)];
  const [time, resultant, ...axes] = columns;
  const start_s = (trace.t0_us - zero_us) / 1e6;
  for (let i = 0; i < n; i += 1) {
    time[i] = start_s + (i * trace.period_ns) / 1e9;
    for (let axis = 0; axis < 3; axis += 1) axes[axis][i] = view.getInt16(6 * i + 2 * axis, true) * trace.g_per_count;
    resultant[i] = Math.hypot(axes[0][i], axes[1][i], axes[2][i]);
  }
  return columns;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class TraceChart {
  #plot = null;
  #observer = null;
  #shown = [true, false, false, false];
  root = h("div", { class: "trace" });

  // Draws anew; `trace` null says that there is none.
  show(trace, impacts_us, zero_us) {
    this.#destroy();
    if (!trace) {
      this.root.replaceChildren(h("h2", {}, t("trace")), h("p", { class: "muted" }, t("no_trace")));
      return;
    }
    const data = decode(trace, zero_us);
    const peak_g = data[1].reduce((most, value) => Math.max(most, value), 0);
    const scaleFits = trace.full_scale_g <= Math.max(2.5 * peak_g, 2 * STRIKE_G);
    const top_g = 1.08 * Math.max(peak_g, STRIKE_G, scaleFits ? trace.full_scale_g : 0);
    const box = h("div", { class: "plot", role: "img", "aria-label": `${t("trace")}: ${t("peak", { g: peak_g.toFixed(1) })}` });
    this.root.replaceChildren(this.#caption(trace, peak_g, scaleFits), box);
    const lines = [
      { at: STRIKE_G, text: t("strikeLine"), css: "--gate" },
      ...(scaleFits ? [{ at: trace.full_scale_g, text: t("scale", { g: trace.full_scale_g }), css: "--limit" }] : []),
    ];
    this.#plot = new globalThis.uPlot(this.#options(box, lines, impacts_us.map((us) => (us - zero_us) / 1e6), top_g), data, box);
    this.#observer = new ResizeObserver(() => this.#plot?.setSize(size(box)));
    this.#observer.observe(box);
  }

  #caption(trace, peak_g, scaleFits) {
    const names = [t("resultant"), "x", "y", "z"];
    return h("div", { class: "trace-head" }, h("h2", {}, t("trace")),
      names.map((name, i) => h("button", {
        type: "button", class: `toggle axis${i}`, "aria-pressed": String(this.#shown[i]),
        onclick: (event) => {
          this.#shown[i] = !this.#shown[i];
          event.currentTarget.setAttribute("aria-pressed", String(this.#shown[i]));
          this.#plot.setSeries(i + 1, { show: this.#shown[i] });
        },
      }, name)),
      h("b", {}, t("peak", { g: peak_g.toFixed(1) })),
      h("span", { class: "muted" }, `${Math.round(1e9 / trace.period_ns)} Hz · ${t(scaleFits ? "scale" : "scale_off", { g: trace.full_scale_g })}`));
  }

  #options(box, lines, impacts_s, top_g) {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "12px system-ui" };
    const series = ["--text", "--axis-x", "--axis-y", "--axis-z"].map((css, i) => ({
      show: this.#shown[i], stroke: colour(css), width: i === 0 ? 1.8 : 1.2, points: { show: false },
    }));
    return {
      ...size(box), legend: { show: false }, cursor: { y: false, drag: { x: true, y: false } }, padding: [14, 8, 0, 0],
      scales: {
        x: { time: false },
        y: { range: () => [this.#shown.slice(1).some(Boolean) ? -top_g : 0, top_g] },
      },
      axes: [
        { ...axis, label: t("trace_axis"), labelSize: 16, labelFont: "12px system-ui", size: 30, values: (_, ticks) => ticks.map((v) => `${v}`) },
        { ...axis, size: 46, values: (_, ticks) => ticks.map((v) => `${v} g`) },
      ],
      series: [{}, ...series],
      hooks: { draw: [(plot) => drawMarks(plot, lines, impacts_s)] },
    };
  }

  #destroy() {
    this.#observer?.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }
}

function size(box) {
  return { width: Math.max(200, box.clientWidth), height: Math.max(120, box.clientHeight) };
}

function drawMarks(plot, lines, impacts_s) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
  ctx.clip();
  ctx.font = `${11 * ratio}px system-ui`;
  ctx.lineWidth = 1.5 * ratio;
  ctx.textBaseline = "alphabetic";
  ctx.setLineDash([6 * ratio, 4 * ratio]);
  for (const { at, text, css } of lines) {
    const y = plot.valToPos(at, "y", true);
    ctx.strokeStyle = ctx.fillStyle = colour(css);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.textAlign = "left";
    ctx.fillText(text, bbox.left + 6 * ratio, y - 4 * ratio);
  }
  ctx.setLineDash([]);
  ctx.fillStyle = ctx.strokeStyle = colour("--impact");
  ctx.textAlign = "center";
  impacts_s.forEach((at, i) => {
    const x = plot.valToPos(at, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.globalAlpha = 0.55;
    ctx.stroke();
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + 8 * ratio);
    ctx.lineTo(x - 6 * ratio, bbox.top - 3 * ratio);
    ctx.lineTo(x + 6 * ratio, bbox.top - 3 * ratio);
    ctx.fill();
    // Impacts closer than their labels share one label.
    const previous = i === 0 ? -Infinity : plot.valToPos(impacts_s[i - 1], "x", true);
    if (x - previous > 24 * ratio) ctx.fillText(impacts_s.length > 1 ? String(i + 1) : t("impact"), x, bbox.top - 5 * ratio);
  });
  ctx.restore();
}
