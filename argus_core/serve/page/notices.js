// What the page says and asks beside its work: faults, the token, light and dark.

import { byId, el } from "./dom.js";
import { onTokenAsked } from "./server.js";

/** Say what went wrong; `again`, if given, tries once more. */
export function notify(text, again = null) {
  const close = el("button", { type: "button", className: "plain", on: { click: clearNotice } }, "Close");
  const retry = again && el("button", { type: "button", on: { click: again } }, "Try again");
  byId("notice").replaceChildren(el("p", {}, text), retry ?? "", close);
}

export const clearNotice = () => byId("notice").replaceChildren();

/** Ask for the token in a dialog; closing it without one gives up. */
export function setUpToken() {
  const dialog = byId("ask-token");
  const input = byId("token");
  onTokenAsked(
    (refused) =>
      new Promise((resolve) => {
        byId("token-refused").hidden = !refused;
        input.value = "";
        dialog.returnValue = "";
        dialog.onclose = () => resolve(input.value.trim() || null);
        dialog.oncancel = () => (input.value = "");
        dialog.showModal();
      }),
  );
}

const THEMES = ["system", "light", "dark"];

/** A button that goes through the themes, and remembers the choice. */
export function setUpTheme() {
  const button = byId("theme");
  const use = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.onclick = () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    localStorage.setItem("argus-theme", next);
    use(next);
  };
  use(THEMES.find((theme) => theme === localStorage.getItem("argus-theme")) ?? "system");
}
