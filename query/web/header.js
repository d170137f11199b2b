/** The head of the page: which collection and view, which page, the theme, the key. */

import { byId, el, refill } from "./element.js";
import { icon } from "./icons.js";
import { key, setKey } from "./key.js";
import { start } from "./place.js";
import { nextTheme, theme } from "./theme.js";

/** @typedef {import("./app.js").App} App */

const THEMES = { auto: "as the system", light: "light", dark: "dark" };
const IMAGES = /** @type {const} */ ({ auto: "auto", light: "sun", dark: "moon" });

export class Header {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    byId("home").addEventListener("click", (event) => {
      event.preventDefault();
      app.go(start(app.place.collection));
    });
  }

  /** @param {import("./place.js").Place} place */
  update(place) {
    refill(byId("tools"), this.theme(), key() && this.key());
    if (this.app.collections.length === 0) {
      byId("picker").replaceChildren();
      byId("nav").replaceChildren();
      return;
    }
    const known = this.app.collections.find((one) => one.name === place.collection);
    const select = el(
      "select",
      {
        id: "collection",
        "aria-label": "Collection",
        data: { focus: "collection" },
        on: { change: () => this.app.visit(select.value) },
      },
      ...this.app.collections.map((one) =>
        el("option", { value: one.name, text: one.name, selected: one.name === place.collection }),
      ),
      !known && el("option", { value: place.collection, text: place.collection, selected: true }),
    );
    const view =
      known &&
      el(
        "span",
        { class: "view", title: `The view that its items are described in; model ${known.model}` },
        "view ",
        el("b", { text: known.view }),
      );
    refill(byId("picker"), select, view || null);
    const tab = (/** @type {"search"|"collection"} */ page, /** @type {string} */ text) =>
      el("button", {
        type: "button",
        text,
        "aria-current": place.page === page ? "page" : null,
        data: { focus: page },
        on: { click: () => this.app.go({ ...this.app.place, page }) },
      });
    refill(byId("nav"), tab("search", "Search"), tab("collection", "Collection"));
  }

  theme() {
    const now = /** @type {keyof typeof THEMES} */ (theme());
    const text = `Theme: ${THEMES[now]}`;
    return el(
      "button",
      {
        type: "button",
        class: "tool",
        title: text,
        "aria-label": text,
        data: { focus: "theme" },
        on: {
          click: () => {
            nextTheme();
            this.update(this.app.place);
          },
        },
      },
      icon(IMAGES[now]),
    );
  }

  key() {
    return el(
      "button",
      {
        type: "button",
        class: "tool",
        title: "Forget the key",
        "aria-label": "Forget the key",
        data: { focus: "key" },
        on: {
          click: () => {
            setKey("");
            this.app.begin();
          },
        },
      },
      icon("key"),
    );
  }
}
