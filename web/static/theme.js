// Dark or light: what the person chose, else dark at night or where the system asks for it.

const KEY = "helmetwatch.theme";

function automatic() {
  const hour = new Date().getHours();
  return hour < 7 || hour >= 19 || matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function currentTheme() {
  return document.documentElement.dataset.theme;
}

export function applyTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(KEY) || automatic();
}

export function toggleTheme() {
  localStorage.setItem(KEY, currentTheme() === "dark" ? "light" : "dark");
  applyTheme();
}
