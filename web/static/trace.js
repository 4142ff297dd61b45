// The acceleration around an incident as a chart: resultant and axes in g, the speed, what was passed, the range, the impacts.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { seen } from "./seen.js";

// As they come, detectors.strike_g and detectors.fall_violence_g; a detection does not say with which it was made.
const STRIKE_G = 12; // From here on a sharp blow is a head strike.
const BLUNT_S = 0.055; // A broader one has to be
const BLUNT = 1.5; // times as hard: a road can give it.
const FALL_G = 0.6; // From here on motion around the peak is violent enough for a body that falls,
const AROUND_S = 0.3; // so far on either side.

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

// The speed in km/h at each sample, from the frames that the detector knew of; null where it is not known.
function speeds(trace, n) {
  const found = new Array(n).fill(null);
  for (const [start, end, speed_mps] of trace.frames ?? []) {
    if (speed_mps !== null) found.fill(speed_mps * 3.6, Math.max(0, start), Math.max(0, end));
  }
  return found;
}

// The thresholds that a finding of this kind has passed: a line for a blow, a stretch around the impact for a fall.
export function limits({ kind, features = {} }) {
  if (kind === "head_strike" || kind === "helmet_lost") {
    const at = STRIKE_G * (features.width_s > BLUNT_S ? BLUNT : 1);
    return [{ at, text: t("strike_line", { g: at }), css: "--gate" }];
  }
  if (kind !== "fall" || features.violence_g === undefined) return [];
  return [{ around_s: AROUND_S, text: t("fall_window", { g: features.violence_g.toFixed(2), least: FALL_G }), css: "--gate" }];
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class TraceChart {
  #plot = null;
  #observer = null;
  #shown = [true, false, false, false, true];
  root = h("div", { class: "trace" });

  // Draws anew what an alert's detection saw; says so where it has no trace.
  show(alert) {
    const { trace, impacts_us } = alert;
    const zero_us = impacts_us[0] ?? alert.occurred_us;
    this.destroy();
    if (!trace) {
      this.root.replaceChildren(h("h2", {}, t("trace")), h("p", { class: "muted" }, t("no_trace")), seen(alert));
      return;
    }
    const data = decode(trace, zero_us);
    const peak_g = data[1].reduce((most, value) => Math.max(most, value), 0);
    const speed = speeds(trace, data[0].length);
    const hasSpeed = speed.some((each) => each !== null);
    const passed = limits(alert);
    const line_g = Math.max(0, ...passed.map(({ at }) => at ?? 0));
    const scaleFits = trace.full_scale_g <= Math.max(2.5 * peak_g, 2 * STRIKE_G);
    const top_g = 1.08 * Math.max(peak_g, line_g, 2, scaleFits ? trace.full_scale_g : 0);
    const box = h("div", { class: "plot", role: "img", "aria-label": `${t("trace")}: ${t("peak", { g: peak_g.toFixed(1) })}` });
    this.root.replaceChildren(this.#caption(trace, peak_g, scaleFits, hasSpeed), box, seen(alert));
    const lines = [
      ...passed,
      ...(scaleFits ? [{ at: trace.full_scale_g, text: t("scale", { g: trace.full_scale_g }), css: "--limit" }] : []),
    ];
    this.#plot = new globalThis.uPlot(this.#options(box, lines, impacts_us.map((us) => (us - zero_us) / 1e6), top_g, hasSpeed), [...data, speed], box);
    this.#observer = new ResizeObserver(() => this.#plot?.setSize(size(box)));
    this.#observer.observe(box);
  }

  #caption(trace, peak_g, scaleFits, hasSpeed) {
    const names = [t("resultant"), "x", "y", "z", ...(hasSpeed ? [t("speed_line")] : [])];
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

  #options(box, lines, impacts_s, top_g, hasSpeed) {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "12px system-ui" };
    const series = ["--text", "--axis-x", "--axis-y", "--axis-z"].map((css, i) => ({
      show: this.#shown[i], stroke: colour(css), width: i === 0 ? 1.8 : 1.2, points: { show: false },
    }));
    const speed = {
      show: this.#shown[4], stroke: colour("--axis-speed"), fill: `${colour("--axis-speed")}26`, width: 1.4, scale: "kmh", points: { show: false },
    };
    return {
      ...size(box), legend: { show: false }, cursor: { y: false, drag: { x: true, y: false } }, padding: [14, 8, 0, 0],
      scales: {
        x: { time: false },
        y: { range: () => [this.#shown.slice(1, 4).some(Boolean) ? -top_g : 0, top_g] },
        kmh: { range: (_plot, _least, most) => [this.#shown.slice(1, 4).some(Boolean) ? -Math.max(20, 1.4 * most) : 0, Math.max(20, 1.4 * most)] },
      },
      axes: [
        { ...axis, label: t("trace_axis"), labelSize: 16, labelFont: "12px system-ui", size: 30, values: (_, ticks) => ticks.map((v) => `${v}`) },
        { ...axis, size: 46, values: (_, ticks) => ticks.map((v) => `${v} g`) },
        { ...axis, show: hasSpeed, scale: "kmh", side: 1, size: 58, grid: { show: false }, values: (_, ticks) => ticks.map((v) => (v < 0 ? "" : `${v} km/h`)) },
      ],
      series: [{}, ...series, speed],
      hooks: { draw: [(plot) => drawMarks(plot, lines, impacts_s)] },
    };
  }

  // Plots that are not destroyed are kept by uPlot, and with them all that the page around them holds.
  destroy() {
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
  const stretches = lines.filter((each) => each.around_s);
  for (const { around_s, css } of stretches) {
    ctx.fillStyle = colour(css);
    ctx.globalAlpha = 0.22;
    for (const at of impacts_s) {
      const [from, to] = [at - around_s, at + around_s].map((s) => plot.valToPos(s, "x", true));
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    ctx.globalAlpha = 1;
  }
  ctx.textBaseline = "alphabetic";
  ctx.setLineDash([6 * ratio, 4 * ratio]);
  stretches.forEach(({ text, css }) => {
    ctx.fillStyle = colour(css);
    ctx.textAlign = "left";
    ctx.fillText(text, bbox.left + 6 * ratio, bbox.top + 16 * ratio);
  });
  for (const { at, text, css } of lines.filter((each) => each.at)) {
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
