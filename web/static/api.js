// The desk's REST calls. A refusal becomes an `ApiError` with the HTTP status and the desk's sentence.

const BASE = "/api/v1";

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// `file`: the answer is wanted as a Blob.
async function call(method, path, body, file = false) {
  const options = { method, credentials: "same-origin", cache: "no-store", headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = typeof body === "string" ? body : JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(BASE + path, options);
  } catch {
    throw new ApiError(0, "");
  }
  if (response.status === 204) return null;
  if (response.ok && file) return response.blob();
  const data = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, data?.detail || response.statusText);
  return data;
}

const alertPath = (id) => `/alerts/${encodeURIComponent(id)}`;

export const signIn = (name, password) => call("POST", "/session", { name, password });
export const whoAmI = () => call("GET", "/session");
export const signOut = () => call("DELETE", "/session", {});
export const getAlert = (id) => call("GET", alertPath(id));
export const listAlerts = (query) => call("GET", `/alerts?${new URLSearchParams(query)}`);
export const getStatistics = (from_us) => call("GET", `/statistics?${new URLSearchParams({ from_us })}`);
export const startDrill = (severity) => call("POST", "/drill", { severity });
export const csvUrl = (query) => `${BASE}/alerts.csv?${new URLSearchParams(query)}`;
export const getStorms = () => call("GET", "/storms");
export const getRegisters = () => call("GET", "/registers");
// `given`: {file in base64, add}, and to replace `of` of the preview.
export const previewRegister = (what, given) => call("POST", `/registers/${what}/preview`, given);
export const replaceRegister = (what, given) => call("POST", `/registers/${what}`, given);
export const getAudit = (query) => call("GET", `/audit?${new URLSearchParams(query)}`);
export const getPlaces = () => call("GET", "/places");
export const getPeople = () => call("GET", "/people");
export const getHandover = () => call("GET", "/handover");
export const openContact = (id) => call("POST", `${alertPath(id)}/contact`, {});
const helmetPath = (name) => `/helmets/${encodeURIComponent(name)}`;
export const getObservation = (name) => call("GET", `${helmetPath(name)}/observation`);
export const observe = (name, for_s) => call("POST", `${helmetPath(name)}/observation`, { for_s });
export const endObservation = (name) => call("DELETE", `${helmetPath(name)}/observation`, {});
export const getSamples = (name) => call("GET", `${helmetPath(name)}/samples?format=csv`, undefined, true);
export const getSilences = () => call("GET", "/silences");
export const previewSilence = (scope) => call("POST", "/silences/preview", scope);
export const startSilence = (silence) => call("POST", "/silences", silence);
export const endSilence = (id) => call("POST", `/silences/${encodeURIComponent(id)}/end`, {});
export const getFleet = () => call("GET", "/fleet");
export const getRiding = (after) => call("GET", `/riding?${new URLSearchParams({ limit: 5000, after })}`);
export const getDuty = (limit) => call("GET", `/duty?limit=${limit}`);
export const getHelmetRiding = (name) => call("GET", `${helmetPath(name)}/riding`);
export const ridingCsvUrl = (from) => `${BASE}/riding.csv?from=${from}`;
export const getTold = (ids) => call("GET", `/deliveries?alerts=${ids.join(",")}`);
export const getChannels = () => call("GET", "/channels");
export const testChannel = (name) => call("POST", `/channels/${encodeURIComponent(name)}/test`, {});
export const getNearby = (id) => call("GET", `${alertPath(id)}/nearby`);
export const recordHelp = (id, helper, status) => call("POST", `${alertPath(id)}/help`, { helper, status, note: "" });
export const getEscalation = () => call("GET", "/escalation");
export const packUrl = (id, format) => `${BASE}${alertPath(id)}/pack?format=${format}`;
// As the text it came in: numbers written anew would not be the numbers that were signed.
export const verifyPack = (text) => call("POST", "/packs/verify", text);
// `from`: whom it is taken from, or nobody.
export const acknowledge = (id, from = "") => call("POST", `${alertPath(id)}/acknowledge`, from ? { from } : {});
export const reportShown = (ids) => call("POST", "/alerts/shown", { ids });
export const acknowledgeMany = (which) => call("POST", "/alerts/acknowledge", which);
// `end`: {reason, note, dispatched}.
export const resolve = (id, end) => call("POST", `${alertPath(id)}/resolve`, end);
export const reopen = (id, note) => call("POST", `${alertPath(id)}/reopen`, { note });
export const addNote = (id, note) => call("POST", `${alertPath(id)}/note`, { note });
