// The sign-in form.

import * as api from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

const SENTENCES = { 0: "unreachable", 401: "sign_in_wrong", 403: "sign_in_wrong", 429: "sign_in_many" };

// Shows the form in `root`. `onGesture()` runs inside the click, where browsers allow sound to begin;
// `onSignedIn(person)` once the desk has agreed.
export function showSignIn(root, { message, onGesture, onSignedIn, onLanguage }) {
  const name = h("input", { id: "name", name: "name", type: "text", autocomplete: "username", autocapitalize: "none", maxlength: 100 });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", maxlength: 1000 });
  const fault = h("p", { class: "fault", role: "alert" }, message ? t(message) : "");
  const button = h("button", { class: "act primary" }, t("sign_in"));

  async function submit(event) {
    event.preventDefault();
    onGesture();
    if (!name.value.trim() || !password.value) {
      fault.textContent = t("sign_in_missing");
      (name.value.trim() ? password : name).focus();
      return;
    }
    button.disabled = true;
    try {
      onSignedIn(await api.signIn(name.value.trim(), password.value));
    } catch (error) {
      fault.textContent = t(SENTENCES[error.status] || "failed", { detail: error.message });
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  }

  root.replaceChildren(h("main", { class: "sign-in" }, h("form", { onsubmit: submit, novalidate: true },
    h("h1", {}, t("sign_in_title")), h("p", { class: "muted" }, t("brand")),
    h("label", { for: "name" }, t("name")), name, h("label", { for: "password" }, t("password")), password, fault, button,
    h("button", { type: "button", class: "small", onclick: onLanguage }, t("language")))));
  name.focus();
}
