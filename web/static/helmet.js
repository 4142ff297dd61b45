// One helmet: how it is, what is wrong with its sensors, and keeping every sample of it for a while.

import * as api from "./api.js";
import { h, save, ticking, toast } from "./dom.js";
import { known, t, term } from "./i18n.js";
import { dutyLevel, dutyNow, wearBasis, wearIsLow, wearPercent } from "./riding.js";
import { forSupervisors, supervises } from "./role.js";
import { clock, hours, now_us, span } from "./time.js";

const FOR_S = 7200;

// What is wrong with a helmet's sensors, in words; a fault without words is shown by its name.
export function faultWords(helmet) {
  return helmet.faults.map((fault) => (known(`fault.${fault}`) ? t(`fault.${fault}`) : fault)).join(t("comma"));
}

// Opens the dialog. `ride`: the helmet's state; `find` shows it on the map, null where its place is unknown.
export function showHelmet(store, name, ride, find) {
  const observed = h("div", { class: "observed" });
  const facts = h("dl", { class: "facts" });
  const riding = h("div", { class: "riding" });
  const close = () => dialog.close();
  const show = () => {
    const helmet = store.helmets.get(name);
    facts.replaceChildren(...(helmet ? rows(helmet, ride(helmet)) : []));
  };
  const dialog = h("dialog", { class: "helmet", "aria-label": `${t("helmet")} ${name}` },
    h("h2", {}, `${t("helmet")} ${name}`), facts, riding, observed,
    h("div", { class: "dialog-acts" },
      find && h("button", { type: "button", class: "act", onclick: () => { close(); find(); } }, t("on_map")),
      h("button", { type: "button", class: "act", onclick: close }, t("close"))));
  const news = new AbortController();
  store.addEventListener("fleet", show, { signal: news.signal });
  dialog.addEventListener("close", () => {
    news.abort();
    dialog.remove();
  });
  show();
  showObservation(observed, name, supervises(store));
  showRiding(riding, name, store);
  document.body.append(dialog);
  dialog.showModal();
}

function rows(helmet, state) {
  const pair = (key, value, tone = "") => [h("dt", {}, t(key)), h("dd", { class: tone }, value)];
  return [
    pair("ride", t(`ride.${state}`)),
    pair("faults", helmet.faults.length ? faultWords(helmet) : t("faults_none"), helmet.faults.length ? "bad-words" : ""),
    pair("battery_col", helmet.battery_pct === null ? "–" : `${helmet.battery_pct} %`),
    pair("wear", term("worn", helmet.worn)),
    pair("speed_now", helmet.speed_mps === null ? "–" : `${(helmet.speed_mps * 3.6).toFixed(0)} km/h`),
    pair("heard_col", ticking(() => t("ago", { span: span((now_us() - helmet.received_us) / 1e6) }))),
  ].flat();
}

async function showRiding(box, name, store) {
  let found;
  try {
    found = await api.getHelmetRiding(name);
  } catch {
    return; // The hours are beside the point of this dialog; the rest stands without them.
  }
  const today = found.days.find((each) => each.day === store.riding?.day), { duty } = found;
  const tone = duty && store.duty ? { over: "bad-words", near: "warn", "": "" }[dutyLevel(duty, store.duty)] : "";
  box.replaceChildren(
    h("dl", { class: "facts" },
      h("dt", {}, t("wear_rate_today")), h("dd", { class: wearIsLow(today) ? "bad-words" : "" }, `${wearPercent(today)} `, h("span", { class: "muted" }, wearBasis(today))),
      h("dt", {}, t("duty_short")), h("dd", { class: tone }, duty ? [t("duty_line", { worked: hours(duty.worked_s, true), since: clock(duty.since_us).slice(0, -3) }), ` · ${dutyNow(duty)}`, duty.uncertain_s >= 60 && ` · ${t("duty_uncertain")} ${hours(duty.uncertain_s)}`] : t("duty_not"))),
    found.days.length > 1 ? h("details", {}, h("summary", {}, t("last_days")), h("ul", { class: "entries" }, found.days.map((each) => h("li", {}, h("time", {}, each.day), ` ${wearPercent(each)} `, h("span", { class: "muted" }, wearBasis(each)))))) : "");
}

// `may`: whether this account may change that and take the samples.
async function showObservation(box, name, may) {
  const ask = async (request) => {
    try {
      fill(await request());
    } catch (error) {
      toast(error.status === 409 ? t("observe_many") : error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }), "bad");
    }
  };
  const fill = ({ observed_until_us: until_us, trail }) => {
    const had = box.contains(document.activeElement);
    const last = trail[0];
    box.replaceChildren(
      h("p", { class: "muted" }, t("observe_hint")),
      until_us ? h("p", { class: "warn" }, ticking(() => t("observed_left", { span: span((until_us - now_us()) / 1e6), by: last.by }))) : "",
      may ? h("div", { class: "observe-acts" },
        h("button", { type: "button", class: "act", name: "observe", onclick: () => ask(() => api.observe(name, FOR_S)) }, t(until_us ? "observe_longer" : "observe")),
        until_us && h("button", { type: "button", class: "act", name: "unobserve", onclick: () => ask(async () => { await api.endObservation(name); return api.getObservation(name); }) }, t("observe_end")),
        h("button", { type: "button", class: "act", name: "samples", onclick: () => download(name) }, t("samples_csv"))) : forSupervisors("observe"),
      trail.length ? h("ol", { class: "entries" }, trail.slice(0, 5).map((entry) => h("li", {}, h("time", {}, clock(entry.at_us)), " ", h("span", { class: "actor" }, entry.by), " ",
        entry.until_us > entry.at_us ? t("observed_until", { clock: clock(entry.until_us) }) : t("observed_ended")))) : "");
    if (had) box.querySelector("button")?.focus();
  };
  await ask(() => api.getObservation(name));
}

// Fetched rather than followed: a desk without a store answers with a sentence, not with a file.
async function download(name) {
  try {
    save(await api.getSamples(name), `${name}.csv`);
  } catch (error) {
    toast(error.status === 404 ? t("samples_none") : error.status === 0 ? t("unreachable") : t("failed", { detail: error.message }), "bad");
  }
}
