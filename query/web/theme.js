/** Dark or light: the system's, unless the visitor has chosen. Loaded first, so that nothing flashes. */

const KEY = "oneword.theme";
const THEMES = ["auto", "light", "dark"];

/** @returns {string} one of auto, light, dark */
export function theme() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept && THEMES.includes(kept) ? kept : "auto";
  } catch {
    return document.documentElement.dataset.theme ?? "auto"; // storage may be forbidden
  }
}

/** Goes on to the next theme and keeps it. */
export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // it holds until the page is closed
  }
  document.documentElement.dataset.theme = next;
  return next;
}

document.documentElement.dataset.theme = theme();
