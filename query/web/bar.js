/** The one bar for everything: words, and pictures that are dropped, pasted, chosen, or named by a URL. */

import { byId, el } from "./element.js";
import { icon } from "./icons.js";
import { adopted } from "./pictures.js";
import { add, withWords, words } from "./place.js";
import { Problem } from "./problem.js";

/** @typedef {import("./app.js").App} App */

const URL_ALONE = /^https?:\/\/\S+$/i;

export class Bar {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.shown = "";
    this.input = el("input", {
      type: "search",
      id: "words",
      name: "words",
      autocomplete: "off",
      enterkeyhint: "search",
      maxlength: 2000,
      "aria-label": "Words to search for",
      placeholder: "Type words, or drop a picture",
    });
    this.file = el("input", {
      type: "file",
      id: "file",
      class: "unseen",
      accept: "image/*",
      multiple: true,
      tabindex: -1,
      "aria-label": "Pictures to search by",
      on: { change: () => this.pictures([...this.file.files]).finally(() => (this.file.value = "")) },
    });
    this.mix = el(
      "button",
      { type: "button", class: "mix", on: { click: () => this.added() } },
      icon("plus"),
      el("span", { text: "Add" }),
    );
    this.mix.title = "Add these words to the query, beside what is there";
    const choose = el(
      "button",
      {
        type: "button",
        class: "choose",
        title: "Choose a picture",
        "aria-label": "Choose a picture",
        on: { click: () => this.file.click() },
      },
      icon("picture"),
    );
    const search = el("button", { type: "submit", class: "go" }, icon("search"), el("span", { text: "Search" }));
    const form = el(
      "form",
      { class: "bar", on: { submit: (/** @type {Event} */ event) => this.submitted(event) } },
      choose,
      this.input,
      this.mix,
      search,
    );
    byId("bar").append(form, this.file);
    document.addEventListener("paste", (event) => this.pasted(event));
    document.addEventListener("keydown", (event) => this.pressed(event));
    this.droppable();
  }

  /** Shows the words of a place. @param {import("./place.js").Place} place */
  update(place) {
    const at = words(place);
    const part = place.parts[at];
    const text = part?.kind === "text" ? part.text : "";
    if (this.shown !== text || document.activeElement !== this.input) this.input.value = text;
    this.shown = text;
    this.mix.hidden = place.parts.length === 0;
    this.input.placeholder =
      place.parts.length === 0 || at >= 0 ? "Type words, or drop a picture" : "Add words, or another picture";
  }

  /** @param {Event} event */
  submitted(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (URL_ALONE.test(text) && this.app.me.fetch) this.url(text);
    else this.app.go(withWords({ ...this.app.place, page: "search" }, text));
  }

  /** Adds the words to those that are there. */
  added() {
    const text = this.input.value.trim();
    const place = this.app.place;
    if (!text || place.parts.some((part) => part.kind === "text" && part.text === text)) this.input.select();
    else this.app.go(add(place, { kind: "text", text, weight: 1 }));
    this.input.focus();
  }

  /** @param {string} url */
  url(url) {
    this.input.value = "";
    this.app.go(add(this.app.place, { kind: "picture", source: { from: "url", url }, edit: "", weight: 1 }));
  }

  /** Searches by pictures. @param {Blob[]} files */
  async pictures(files) {
    try {
      const sources = [];
      for (const file of files) {
        if (file.type && !file.type.startsWith("image/")) throw refused(file);
        sources.push(await adopted(file));
      }
      const parts = sources.map((source) => ({ kind: /** @type {const} */ ("picture"), source, edit: "", weight: 1 }));
      this.app.go(parts.reduce(add, this.app.place)); // as it is now: it may have changed meanwhile
    } catch (error) {
      this.app.failed(error);
    }
  }

  /** @param {ClipboardEvent} event */
  pasted(event) {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (files.length === 0 || this.app.place.page === "collection") return;
    event.preventDefault();
    this.pictures(files);
  }

  /** "/" leads to the bar. @param {KeyboardEvent} event */
  pressed(event) {
    const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select, dialog *");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || byId("query").hidden) return;
    event.preventDefault();
    this.input.focus();
    this.input.select();
  }

  droppable() {
    const target = byId("droptarget");
    let depth = 0;
    const carries = (/** @type {DragEvent} */ event) =>
      [...(event.dataTransfer?.types ?? [])].some((one) => one === "Files" || one === "text/uri-list");
    const hide = () => {
      depth = 0;
      target.hidden = true;
    };
    document.addEventListener("dragenter", (event) => {
      if (!carries(event)) return;
      depth += 1;
      const upload = this.app.place.page === "collection";
      /** @type {HTMLElement} */ (target.firstElementChild).textContent = upload
        ? "Drop to store in this collection"
        : this.app.place.parts.length
          ? "Drop to add the picture to the query"
          : "Drop to search by this picture";
      target.hidden = false;
    });
    document.addEventListener("dragleave", () => {
      if ((depth -= 1) <= 0) hide();
    });
    document.addEventListener("dragover", (event) => {
      if (carries(event)) event.preventDefault();
    });
    document.addEventListener("drop", (event) => {
      hide();
      if (!carries(event)) return;
      event.preventDefault();
      const files = [...(event.dataTransfer?.files ?? [])];
      const url = event.dataTransfer?.getData("text/uri-list").split("\n")[0] ?? "";
      if (this.app.place.page === "collection") this.app.store(files);
      else if (files.length) this.pictures(files);
      else if (URL_ALONE.test(url)) this.url(url);
    });
  }
}

/** @param {any} file */
function refused(file) {
  return new Problem({
    code: "no_picture",
    detail: `${file.name ? `“${file.name}”` : "This"} is not an image (${file.type}): expected a JPEG, PNG, WebP or the like.`,
    remedy: "To store texts, open the collection's page and drop them there.",
  });
}
