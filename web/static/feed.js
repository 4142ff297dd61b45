// The live feed: one stream of server-sent events that comes back by itself, from the last event it had.
//
// Read with fetch instead of EventSource, because the page has to see a 401, to notice silence within seconds
// and to decide itself when to try again.

const SILENCE_MS = 4000; // Beats come every 2 s: two of them missing is a lost feed.
const PATIENCE = 4; // A desk under load may take this many times longer for its first event; cut off, it would only begin anew.
const LARGE = 500_000;
const RETRY_MS = [300, 1000, 2000, 4000];

export class Feed {
  #onEvent;
  #onState;
  #lastId = null;
  #abort = null;
  #heardAt = performance.now();
  #openedAt = 0;
  #greeted = false; // Whether this connection has brought its first event.
  #running = false;
  #tries = 0;
  #wake = () => {};

  // `onEvent(type, data)` for every event; `onState({state, tries})` with state connecting, live, lost or refused.
  constructor(onEvent, onState) {
    this.#onEvent = onEvent;
    this.#onState = onState;
  }

  get heardAgo_s() {
    return (performance.now() - this.#heardAt) / 1000;
  }

  async start() {
    this.#running = true;
    this.#tries = 0;
    this.#onState({ state: "connecting", tries: 0 });
    while (this.#running) {
      let refused = false;
      try {
        refused = await this.#read();
      } catch {
        // A broken connection, our own abort after silence, or an event that is not JSON: all mean the same.
      }
      if (!this.#running) return;
      if (refused) {
        this.#running = false;
        this.#onState({ state: "refused", tries: this.#tries });
        return;
      }
      this.#tries += 1;
      this.#onState({ state: "lost", tries: this.#tries });
      await this.#pause(RETRY_MS[Math.min(this.#tries, RETRY_MS.length) - 1] * (0.75 + Math.random() / 2));
    }
  }

  stop() {
    this.#running = false;
    this.#lastId = null;
    this.#abort?.abort();
    this.#wake();
  }

  // Tries at once instead of waiting: the network is back, or someone looks at the page again.
  hurry() {
    if (!this.#greeted && this.#silent_ms > SILENCE_MS) this.#abort?.abort();
    this.#wake();
  }

  // To be called every second: gives a silent connection up, a new one later after each try that failed.
  tick() {
    const patience = this.#greeted ? 1 : Math.min(2 ** this.#tries, PATIENCE);
    if (this.#silent_ms > SILENCE_MS * patience) this.#abort?.abort();
  }

  get #silent_ms() {
    return performance.now() - Math.max(this.#heardAt, this.#openedAt);
  }

  // One connection from start to end; true where the desk says that nobody is signed in.
  async #read() {
    this.#abort = new AbortController();
    this.#openedAt = performance.now();
    this.#greeted = false;
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.#lastId !== null) headers["Last-Event-ID"] = this.#lastId;
      const response = await fetch("/api/v1/feed", {
        headers, signal: this.#abort.signal, credentials: "same-origin", cache: "no-store",
      });
      if (response.status === 401 || response.status === 403) return true;
      if (!response.ok) return false;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let parts = [];
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return false;
        this.#heardAt = performance.now();
        const ends = value.includes("\n\n") || (value.startsWith("\n") && parts.at(-1)?.endsWith("\n"));
        parts.push(value);
        // A snapshot of thousands comes in hundreds of pieces: they are put together once, not once for each piece.
        if (!ends) continue;
        const blocks = parts.join("").split("\n\n");
        parts = [blocks.pop()];
        for (const block of blocks) await this.#take(block);
      }
    } finally {
      this.#abort.abort();
      this.#abort = null;
    }
  }

  async #take(block) {
    let type = "message", id = null;
    const data = [];
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      if (colon <= 0) continue;
      const value = line.slice(colon + 1).replace(/^ /, "");
      if (line.startsWith("event:")) type = value;
      else if (line.startsWith("id:")) id = value;
      else if (line.startsWith("data:")) data.push(value);
    }
    if (data.length === 0) return;
    const text = data.join("\n");
    const parsed = JSON.parse(text);
    // Reading and showing a large snapshot are two tasks, so that a click gets in between.
    if (text.length > LARGE) await new Promise((done) => setTimeout(done));
    if (!this.#running) return;
    // The id counts only once the page has taken the event; what fails half-way comes again.
    this.#onEvent(type, parsed);
    if (id !== null && id !== "") this.#lastId = id;
    if (type === "snapshot" || type === "resume") {
      this.#greeted = true;
      this.#tries = 0;
      this.#onState({ state: "live", tries: 0 });
    }
  }

  #pause(ms) {
    return new Promise((done) => {
      this.#wake = done;
      setTimeout(done, ms);
    });
  }
}
