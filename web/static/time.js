// Server time, and times and spans in words. The desk's clock rules, not the browser's.

import { english } from "./i18n.js";

let offset_us = Date.now() * 1000 - performance.now() * 1000;

export function sync(now_us) {
  offset_us = now_us - performance.now() * 1000;
}

export function now_us() {
  return performance.now() * 1000 + offset_us;
}

const pad = (n) => String(n).padStart(2, "0");

export function zone(date = new Date()) {
  const minutes = -date.getTimezoneOffset();
  const hours = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  return `UTC${minutes < 0 ? "−" : "+"}${hours}${rest ? `:${pad(rest)}` : ""}`;
}

// 14:03:21, with the date in front where it is not today's.
export function clock(us, millis = false) {
  if (us === null || us === undefined) return "–";
  const date = new Date(us / 1000);
  const today = new Date(now_us() / 1000);
  const day = date.toDateString() === today.toDateString() ? "" : `${pad(date.getMonth() + 1)}-${pad(date.getDate())} `;
  const fraction = millis ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : "";
  return `${day}${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}${fraction}`;
}

// 23 秒, 4 分 05 秒, 2 小时 03 分.
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const [d, hr, min, sec] = english() ? [" d", " h", " min", " s"] : [" 天", " 小时", " 分", " 秒"];
  if (s < 60) return `${s}${sec}`;
  if (s < 3600) return `${Math.floor(s / 60)}${min} ${pad(s % 60)}${sec}`;
  if (s < 86400) return `${Math.floor(s / 3600)}${hr} ${pad(Math.floor(s / 60) % 60)}${min}`;
  return `${Math.floor(s / 86400)}${d} ${Math.floor(s / 3600) % 24}${hr}`;
}

// Working time: 34 分, 3.2 小时; `exact` to the minute: 3 小时 52 分.
export function hours(seconds, exact = false) {
  const minutes = Math.floor(seconds / 60);
  const [hr, min] = english() ? [" h", " min"] : [" 小时", " 分"];
  if (minutes < 60) return `${minutes}${min}`;
  return exact ? `${Math.floor(minutes / 60)}${hr} ${pad(minutes % 60)}${min}` : `${(Math.floor(seconds / 360) / 10).toFixed(1)}${hr}`;
}

// A short span to a tenth: 0.6 秒.
export function fineSpan(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} ${english() ? "s" : "秒"}` : span(seconds);
}

export function age(us) {
  return span((now_us() - us) / 1e6);
}

// A delay between two of an alert's times: +0.42 s, +4 min 05 s; a clock that ran backwards shows a minus.
export function delay(from_us, to_us) {
  if (from_us === null || to_us === null || from_us === undefined || to_us === undefined) return "";
  const s = (to_us - from_us) / 1e6;
  const sign = s < 0 ? "−" : "+";
  const unit = english() ? " s" : " 秒";
  return Math.abs(s) < 10 ? `${sign}${Math.abs(s).toFixed(2)}${unit}` : `${sign}${span(Math.abs(s))}`;
}
