// The siren: a pattern of tones for the worst alert nobody has taken, repeated until someone takes it.

import { now_us } from "./time.js";

const MUTE_S = 600;

// Every pattern is a list of [start s, frequency Hz, length s] and the seconds after which it repeats.
const PATTERNS = {
  4: { every: 2, tones: [[0, 980, 0.22], [0.25, 660, 0.22], [0.5, 980, 0.22], [0.75, 660, 0.22], [1, 980, 0.22], [1.25, 660, 0.22]] },
  3: { every: 4, tones: [[0, 880, 0.18], [0.28, 880, 0.18], [0.56, 880, 0.3]] },
  2: { every: 8, tones: [[0, 660, 0.16], [0.3, 660, 0.16]] },
  1: { every: 15, tones: [[0, 520, 0.2]] },
  lost: { every: 20, tones: [[0, 400, 0.25], [0.3, 300, 0.4]] },
  ready: { every: Infinity, tones: [[0, 660, 0.08], [0.1, 880, 0.1]] },
};

export class Siren extends EventTarget {
  #context = null;
  #gain = null;
  #mutedUntil_us = 0;
  #pattern = null;
  #dueAt = 0;

  // "on", "blocked" (the browser wants a click first), "muted" or "none" (no WebAudio).
  get state() {
    if (!globalThis.AudioContext) return "none";
    if (this.#context?.state !== "running") return "blocked";
    return this.mutedLeft_s > 0 ? "muted" : "on";
  }

  get mutedLeft_s() {
    return Math.max(0, (this.#mutedUntil_us - now_us()) / 1e6);
  }

  // Has to be called while a click or a key press is being handled, or the browser refuses.
  async enable() {
    if (!globalThis.AudioContext || this.#context?.state === "running") return;
    if (!this.#context) {
      this.#context = new AudioContext();
      this.#gain = this.#context.createGain();
      this.#gain.connect(this.#context.destination);
      this.#context.addEventListener("statechange", () => this.#changed());
    }
    await this.#context.resume();
    this.#play("ready");
    this.#changed();
  }

  // Muting wears off by itself: a desk that someone muted and forgot is worse than a loud one.
  toggleMute() {
    this.#mutedUntil_us = this.mutedLeft_s > 0 ? 0 : now_us() + MUTE_S * 1e6;
    if (this.#gain) this.#gain.gain.value = this.mutedLeft_s > 0 ? 0 : 1;
    this.#dueAt = 0;
    this.#changed();
  }

  // Chooses the pattern: a severity, "lost" for a lost feed, or null for silence.
  set(pattern) {
    if (pattern === this.#pattern) return;
    this.#pattern = pattern;
    this.#dueAt = 0;
    this.tick();
  }

  // A new alert sounds at once, even where another one is sounding already.
  again() {
    this.#dueAt = 0;
    this.tick();
  }

  // For whoever has the alert already: once.
  once(pattern) {
    if (this.state === "on") this.#play(pattern);
  }

  tick() {
    if (this.#gain && this.mutedLeft_s === 0) this.#gain.gain.value = 1;
    const now = performance.now() / 1000;
    if (this.#pattern === null || now < this.#dueAt || this.state !== "on") return;
    // A tick comes once a second, give or take: half a second early is on time.
    this.#dueAt = now + PATTERNS[this.#pattern].every - 0.5;
    this.#play(this.#pattern);
    this.dispatchEvent(new CustomEvent("sounded", { detail: this.#pattern }));
  }

  #play(name) {
    if (this.#context?.state !== "running") return;
    const start = this.#context.currentTime + 0.02;
    for (const [at, hertz, length] of PATTERNS[name].tones) {
      const tone = this.#context.createOscillator();
      const envelope = this.#context.createGain();
      tone.type = "square";
      tone.frequency.value = hertz;
      // Short ramps, or the speaker clicks.
      envelope.gain.setValueAtTime(0, start + at);
      envelope.gain.linearRampToValueAtTime(0.35, start + at + 0.01);
      envelope.gain.setValueAtTime(0.35, start + at + length - 0.02);
      envelope.gain.linearRampToValueAtTime(0, start + at + length);
      tone.connect(envelope).connect(this.#gain);
      tone.start(start + at);
      tone.stop(start + at + length);
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
