// What the page knows: alerts by id, helmets by id, workers, and who is signed in. Views listen for changes.

export const UNTAKEN = new Set(["pending", "open"]);
export const FINAL = new Set(["resolved", "cancelled"]);
const GATHER_MS = 100; // A single alert shows at once; a thousand of them show ten times a second, not a thousand times.
const MENTIONS = 20;
const KEPT_FINAL_US = 12 * 3600 * 1e6;

export function finalAt_us(alert) {
  return Math.max(alert.resolved_us ?? 0, alert.cancelled_us ?? 0);
}

// Unacknowledged first, then acknowledged, then final; within each real ones before drills, then the severest, then the
// one that waits longest.
export function group(alert) {
  return UNTAKEN.has(alert.state) ? 0 : FINAL.has(alert.state) ? 2 : 1;
}

export function compare(a, b) {
  if (group(a) !== group(b)) return group(a) - group(b);
  if (group(a) === 2) return finalAt_us(b) - finalAt_us(a) || (a.id < b.id ? -1 : 1);
  return a.test - b.test || b.severity - a.severity || a.occurred_us - b.occurred_us || (a.id < b.id ? -1 : 1);
}

export class Store extends EventTarget {
  alerts = new Map();
  helmets = new Map();
  workers = [];
  observed = {}; // Until when every sample of a helmet is kept, by helmet.
  channels = [];
  told = new Map(); // How the messages about an alert fare, by its id: {delivered, waiting, failed, passed_over}.
  storms = []; // Many helmets that fell silent at once; each is one incident.
  silences = [];
  places = { cities: [], stations: [], known: [] }; // Where riders belong to: [name], [{city, station}]; what lies where: [{name, lat_deg, lon_deg}].
  people = [];
  mentions = []; // Where our name stands in a note that we have not looked at yet: {id, by, who, note, test, at_us}.
  mentionedUntil_us = 0;
  riding = null; // How long helmets were ridden today: {day, total, byHelmet}.
  duty = null; // Who has ridden without a rest, as the desk says it.
  me = null;
  lastAlertAt_us = null;
  #stormOf = new Map(); // The storm that an alert belongs to, by its id.
  #sorted = null;
  #untaken = null;
  #fleetAt = 0;
  #changed = { ids: [], urgent: [] };
  #toldAt = -GATHER_MS;
  #timer = 0;

  isMine(alert) {
    return this.me !== null && alert.owner !== null && alert.owner === this.me.display_name;
  }

  // All alerts in the order of the list; sorted once for each change, because a storm can leave ten thousand.
  sorted() {
    this.#sorted ??= [...this.alerts.values()].sort(compare);
    return this.#sorted;
  }

  // The storm that an alert belongs to, or undefined.
  stormOf(alert) {
    return this.#stormOf.get(alert.id);
  }

  // What nobody has, the most urgent first.
  untaken() {
    this.#untaken ??= this.sorted().filter((alert) => UNTAKEN.has(alert.state));
    return this.#untaken;
  }

  // A snapshot is the whole truth: what is not in it is gone.
  replace(alerts) {
    this.alerts = new Map(alerts.map((alert) => [alert.id, alert]));
    this.#sorted = this.#untaken = null;
    this.lastAlertAt_us = alerts.reduce((last, alert) => Math.max(last, alert.alerted_us), 0) || null;
    this.#changed = { ids: null, urgent: [] };
    this.flush();
  }

  // Takes one alert; an older version than the one we have changes nothing, so repeats are harmless.
  put(alert, at_us = null) {
    const before = this.alerts.get(alert.id);
    if (before && before.seq >= alert.seq) return;
    this.alerts.set(alert.id, alert);
    this.#sorted = this.#untaken = null;
    if (at_us !== null) this.lastAlertAt_us = at_us;
    const urgent = UNTAKEN.has(alert.state)
      && (!before || !UNTAKEN.has(before.state) || alert.severity > before.severity || alert.impacts_us.length > before.impacts_us.length);
    this.#changed.ids.push(alert.id);
    if (urgent) this.#changed.urgent.push(alert);
    if (performance.now() - this.#toldAt >= GATHER_MS) this.flush();
    else if (!this.#timer) this.#timer = setTimeout(() => this.flush(), GATHER_MS);
  }

  // Tells the views what has gathered.
  flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const detail = this.#changed;
    if (detail.ids?.length === 0) return;
    this.#changed = { ids: [], urgent: [] };
    this.#tell("alerts", detail);
    this.#toldAt = performance.now();
  }

  // Forgets what became final more than 12 hours ago, so that a page open for weeks stays small.
  forget(now_us) {
    const old = [...this.alerts.values()].filter((a) => FINAL.has(a.state) && finalAt_us(a) < now_us - KEPT_FINAL_US);
    for (const alert of old) {
      this.alerts.delete(alert.id);
      this.told.delete(alert.id);
    }
    if (old.length === 0) return;
    this.#sorted = this.#untaken = null;
    this.#changed.ids = null;
    this.flush();
  }

  // Seconds since the desk heard of a worker; by the desk's clock, because the worker's own may be wrong.
  workerAge_s(worker) {
    return worker.age_s + (performance.now() - this.#fleetAt) / 1000;
  }

  // `overtaken`: news came while we waited for this answer, which is of before it.
  putFleet(fleet, overtaken = false) {
    if (!overtaken) {
      this.workers = fleet.workers;
      this.observed = fleet.observed ?? {};
    }
    this.#fleetAt = performance.now();
    for (const helmet of fleet.helmets) {
      if (!overtaken || !(this.helmets.get(helmet.helmet)?.received_us > helmet.received_us)) this.helmets.set(helmet.helmet, helmet);
    }
    this.#tell("fleet", null);
  }

  // The ledgers of `alerts` (null: of many) have changed, and this is how the channels fare now.
  putDeliveries({ alerts, told = {}, channels }) {
    this.channels = channels;
    this.putTold(told, alerts === null);
    this.#tell("deliveries", { ids: alerts });
  }

  // `stale`: of others we may know too little.
  putTold(told, stale = false) {
    for (const [id, counts] of Object.entries(told)) this.told.set(id, counts);
    this.#tell("told", { ids: Object.keys(told), stale });
  }

  // Names for a choice among `what`, cities or stations (of one city where that is given); `kept` is always there.
  placeNames(what, city = "", kept = "") {
    const names = what === "cities" ? this.places.cities
      : this.places.stations.filter((each) => !city || each.city === city).map((each) => each.station);
    return [...new Set([...names, kept])].filter(Boolean);
  }

  // The feed tells a new page what has just happened once more, so what is not newer than the last is known.
  putMention(mention) {
    if (mention.at_us <= this.mentionedUntil_us) return;
    this.mentionedUntil_us = mention.at_us;
    this.mentions = [...this.mentions, mention].slice(-MENTIONS);
    this.#tell("mentions", null);
  }

  // We have opened an alert: what was said to us about it has been seen.
  seen(id) {
    const rest = this.mentions.filter((each) => each.id !== id);
    if (rest.length === this.mentions.length) return;
    this.mentions = rest;
    this.#tell("mentions", null);
  }

  // What is asked for now and then: storms, silences, places, people.
  putAside(news) {
    Object.assign(this, news);
    if (news.storms) this.#stormOf = new Map(news.storms.flatMap((storm) => storm.ids.map((id) => [id, storm])));
    this.#tell("aside", Object.keys(news));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
