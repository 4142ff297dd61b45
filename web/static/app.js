// Puts the page together: signs in, starts the feed, and shows what the address says.

import * as api from "./api.js";
import { Actions } from "./actions.js";
import { Desk } from "./desk.js";
import { announce, tickAll, toast } from "./dom.js";
import { setPolicy } from "./escalation.js";
import { Feed } from "./feed.js";
import { english, setLang, t, term } from "./i18n.js";
import { setTiles } from "./map.js";
import { TEST, severityWord, who } from "./pieces.js";
import { showSignIn } from "./signin.js";
import { Siren } from "./sound.js";
import { reportShown } from "./shown.js";
import { Store } from "./store.js";
import { applyTheme } from "./theme.js";
import { now_us, sync } from "./time.js";

const SIGNED_IN = "helmetwatch.signed_in"; // Spares a visitor without a session a request that would be refused.
const LOST_TONE_S = 10;
const POLICY_MS = 300_000;
const STORMS_MS = 2000;

const root = document.getElementById("app");
const siren = new Siren();
// What belongs to one sign-in: with the next one all of it is made anew, so that nothing of the last still listens.
let store = null;
let desk = null;
let feed = null;

function language() {
  setLang(english() ? "zh" : "en");
  if (desk) desk.render();
  else signIn(null);
}

function signIn(message) {
  localStorage.removeItem(SIGNED_IN);
  showSignIn(root, { message, onGesture: () => siren.enable(), onSignedIn: start, onLanguage: language });
}

function stop() {
  feed?.stop();
  desk?.destroy();
  store = desk = feed = null;
  siren.set(null);
}

// The session is over: say so loudly, because alerts no longer arrive.
function expired() {
  if (!desk) return;
  stop();
  siren.set("lost");
  signIn("sign_in_again");
}

async function signOut() {
  await api.signOut().catch(() => null);
  stop();
  signIn(null);
}

function start(person) {
  localStorage.setItem(SIGNED_IN, "1");
  setTiles(person);
  const mine = store = new Store();
  store.me = person;
  // What had gathered when the session ended is told to nobody: the store is another by then, or none.
  store.addEventListener("alerts", ({ detail }) => mine === store && alarm(detail));
  reportShown(store);
  feed = new Feed(take, (state) => {
    if (state.state === "refused") expired();
    else desk?.feedState(state);
    if (state.state === "live") {
      refresh();
      refreshAsides();
    }
  });
  desk = new Desk(root, { store, siren, feed, actions: new Actions(store, expired), language, signOut });
  feed.start();
}

const heard = { fleet: 0, deliveries: 0 }; // How much news there was of each.

function take(type, data) {
  if (type in heard) heard[type] += 1;
  if (data.now_us) sync(data.now_us);
  if (type === "snapshot") store.replace(data.alerts);
  else if (type === "alert") takeAlert(data);
  else if (type === "fleet") store.putFleet(data);
  else if (type === "deliveries") store.putDeliveries(data);
}

function takeAlert({ alert, entry }) {
  const me = store.me?.display_name;
  const before = store.alerts.get(alert.id);
  store.put(alert, entry.at_us);
  if (alert.state === "acknowledged" && alert.owner === me && alert.severity > before?.severity) worse(alert);
  if (entry.actor !== me && entry.detail.mentions?.includes(me)) {
    store.putMention({ id: alert.id, by: entry.actor, who: who(alert), note: entry.detail.note, test: alert.test, at_us: entry.at_us });
  }
}

// Who has an alert keeps it when it turns out worse, and hears of it.
function worse(alert) {
  const said = t("mine_worse", { severity: severityWord(alert), who: who(alert) });
  siren.once(alert.severity);
  toast(said, "bad");
  announce((alert.test ? `${TEST} ` : "") + said);
}

// Duty changes hands without an event.
setInterval(() => {
  if (!desk) return;
  api.getEscalation().then(setPolicy, () => null);
  refreshAsides();
}, POLICY_MS);

// News of fleet and channels is not repeated after a break, so the whole is asked for once the feed lives again.
async function refresh() {
  const asked = store;
  const before = { ...heard };
  try {
    const [fleet, { channels }, policy] = await Promise.all([api.getFleet(), api.getChannels(), api.getEscalation()]);
    if (asked !== store) return;
    sync(fleet.now_us);
    store.putFleet(fleet, heard.fleet > before.fleet);
    setPolicy(policy);
    store.putDeliveries({ alerts: null, channels: heard.deliveries > before.deliveries ? store.channels : channels });
  } catch {
    // The strip shows that the workers are silent; the next report brings them back.
  }
}

// Each by itself: one that fails leaves the others.
const ASIDES = [
  [api.getStorms, ({ storms }) => ({ storms })], [api.getSilences, ({ silences }) => ({ silences })],
  [api.getPlaces, (places) => ({ places })], [api.getPeople, ({ people }) => ({ people })],
];

function refreshAsides() {
  const asked = store;
  for (const [ask, take] of ASIDES) ask().then((found) => asked.putAside(take(found)), () => null);
}

let stormsDue = 0;

// Asked for while helmets fall silent, at most every few seconds.
function refreshStorms(ids) {
  const silent = ids === null || ids.some((id) => store.alerts.get(id)?.signal_lost);
  if (!silent || stormsDue) return;
  const asked = store;
  stormsDue = setTimeout(() => {
    stormsDue = 0;
    api.getStorms().then(({ storms }) => asked.putAside({ storms }), () => null);
  }, STORMS_MS);
}

function tick() {
  feed?.tick();
  tickAll();
  if (desk) {
    store.flush();
    desk.tick();
    const waiting = store.untaken();
    siren.set(waiting.length ? waiting[0].severity : desk.lostFor_s > LOST_TONE_S ? "lost" : null);
    store.forget(now_us());
  }
  siren.tick();
}

// News of alerts: the siren follows the worst that nobody has, and what is new and urgent is said aloud.
function alarm(detail) {
  refreshStorms(detail.ids);
  const waiting = store.untaken();
  siren.set(waiting.length ? waiting[0].severity : null);
  if (!detail.urgent.length) return;
  siren.again();
  const [alert] = detail.urgent;
  announce((alert.test ? `${TEST} ` : "") + t("announce", { severity: severityWord(alert), kind: term("kind", alert.kind), who: who(alert) }));
}

new Worker("/static/ticker.js").addEventListener("message", tick);
addEventListener("online", () => feed?.hurry());
document.addEventListener("visibilitychange", () => document.hidden || feed?.hurry());
// Any click or key is a chance to begin sounding; browsers allow it at no other time.
for (const gesture of ["pointerdown", "keydown"]) {
  addEventListener(gesture, (event) => siren.state === "blocked" && !event.target.closest?.("#sound") && siren.enable());
}

applyTheme();
if (localStorage.getItem(SIGNED_IN)) {
  api.whoAmI().then(start, (error) => signIn(error.status === 401 ? null : "unreachable"));
} else {
  signIn(null);
}
