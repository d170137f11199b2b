/** The parts of the query: each with its weight, its edit, a way out, and a handle to move it by. */

import { byId, el, focusOn, refill, say } from "./element.js";
import { icon } from "./icons.js";
import { itemOf, preview } from "./pictures.js";
import { change, keyOf, move, remove, start } from "./place.js";
import { joined } from "./request.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./place.js").Part} Part
 */

export class Chips {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.list = el("ul", { class: "chips", "aria-label": "Parts of the query" });
    this.shown = "";
    byId("chips").append(this.list);
  }

  /** @param {import("./place.js").Place} place */
  update(place) {
    const shape = JSON.stringify([
      place.collection,
      place.parts.map((part) => [keyOf(part), part.kind, part.kind === "picture" && part.crop]),
    ]);
    if (shape === this.shown) return this.values(place);
    this.shown = shape;
    const clear =
      place.parts.length > 1 &&
      el(
        "li",
        { class: "clear" },
        el("button", { type: "button", text: "Clear all", on: { click: () => this.cleared() } }),
      );
    refill(this.list, ...place.parts.map((part, at) => this.chip(part, at)), clear || null);
    this.values(place);
  }

  /** Marks the part that an error is about; none for -1. @param {number} at */
  blame(at) {
    for (const [place, chip] of [...this.list.children].entries()) chip.classList.toggle("blamed", place === at);
  }

  cleared() {
    const { collection, modality, ranking, joined, rerank, folded, filters } = this.app.place;
    this.app.go({ ...start(collection), modality, ranking, joined, rerank, folded, filters });
    this.app.bar.input.focus();
  }

  /**
   * Sets what sliders and edit boxes show.
   * @param {import("./place.js").Place} place
   */
  values(place) {
    for (const [at, part] of place.parts.entries()) {
      const chip = /** @type {HTMLElement} */ (this.list.children[at]);
      const slider = /** @type {HTMLInputElement} */ (chip.querySelector("input[type=range]"));
      slider.value = String(part.weight);
      weighed(chip, part.weight);
      chip.classList.toggle("joined", joined(place) && part.kind !== "like" && part.weight > 0);
      const edit = /** @type {HTMLInputElement|null} */ (chip.querySelector("input.edit"));
      if (edit && part.kind === "picture" && edit.value !== part.edit) edit.value = part.edit;
    }
  }

  /** @param {Part} part @param {number} at */
  chip(part, at) {
    const name = label(part);
    const focus = keyOf(part);
    const chip = el("li", { class: `chip ${part.kind}` });
    const grip = el(
      "button",
      {
        type: "button",
        class: "grip",
        title: "Drag, or use the arrow keys",
        "aria-label": `Move ${name}; position ${at + 1} of ${this.app.place.parts.length}`,
        data: { focus: `grip ${focus}` },
        on: {
          keydown: (/** @type {KeyboardEvent} */ event) => this.nudged(event, at),
          pointerdown: (/** @type {PointerEvent} */ event) => this.dragged(event, chip),
        },
      },
      icon("grip"),
    );
    const slider = el("input", {
      type: "range",
      min: -1,
      max: 1,
      step: 0.05,
      value: String(part.weight),
      "aria-label": `Weight of ${name}`,
      data: { focus: `weight ${focus}` },
      on: {
        input: () => {
          weighed(chip, Number(slider.value));
          this.app.go(change(this.app.place, at, { weight: Number(slider.value) }), { replace: true, soon: true });
        },
      },
    });
    const out = el(
      "button",
      { type: "button", class: "out", "aria-label": `Remove ${name}`, on: { click: () => this.removed(at) } },
      icon("close"),
    );
    chip.append(
      grip,
      this.face(part, at),
      el("span", { class: "weight" }, slider, el("output", { "aria-hidden": "true" })),
      out,
    );
    return chip;
  }

  /** @param {Part} part @param {number} at */
  face(part, at) {
    if (part.kind === "text") return el("span", { class: "said", text: `“${part.text}”` });
    const source = part.kind === "like" ? /** @type {const} */ ({ from: "hit", id: part.id }) : part.source;
    const thumb = el("span", { class: "thumb" }, icon(source.from === "url" ? "link" : "picture"));
    const collection = this.app.place.collection;
    const face = el("span", { class: "face" }, thumb);
    preview(collection, source).then(
      (address) => thumb.replaceChildren(el("img", { src: address, alt: "", width: 36, height: 36 })),
      () => {
        if (part.kind === "like") this.quoted(face, part.id); // a text has no picture
      },
    );
    if (part.kind === "like") face.append(el("span", { class: "said", text: "like this" }));
    else if (source.from === "url") thumb.title = source.url;
    if (part.kind === "picture") {
      const text = part.crop ? "Change the region" : "Search by a region of this picture";
      const crop = el(
        "button",
        {
          type: "button",
          class: "crop",
          title: text,
          "aria-label": text,
          data: { focus: `crop ${keyOf(part)}` },
          on: { click: () => this.app.cropper.show(at) },
        },
        icon("crop"),
        part.crop && el("span", { text: "region" }),
      );
      face.append(crop, this.editBox(part, at));
    }
    return face;
  }

  /** @param {HTMLElement} face @param {string} id */
  async quoted(face, id) {
    const one = await itemOf(this.app.place.collection, id).catch(() => null);
    face.replaceChildren(
      el("span", { class: "said", text: one?.text ? `like “${one.text.slice(0, 60)}”` : "like what is gone" }),
    );
  }

  /** @param {Extract<Part, {kind: "picture"}>} part @param {number} at */
  editBox(part, at) {
    const apply = () => {
      if (input.value.trim() !== part_().edit) this.app.go(change(this.app.place, at, { edit: input.value.trim() }));
    };
    const part_ = () => /** @type {any} */ (this.app.place.parts[at] ?? part);
    const input = el("input", {
      type: "text",
      class: "edit",
      maxlength: 500,
      autocomplete: "off",
      placeholder: "same, but at night",
      "aria-label": "How results should differ from this picture",
      value: part.edit,
      data: { focus: `edit ${keyOf(part)}` },
      on: {
        change: apply,
        keydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            apply();
          }
        },
      },
    });
    return input;
  }

  /** Focus on the edit box of the leading picture. */
  focusEdit() {
    /** @type {HTMLElement|null} */ (this.list.querySelector("input.edit"))?.focus();
  }

  /** @param {number} at */
  removed(at) {
    const name = label(this.app.place.parts[at]);
    this.app.go(remove(this.app.place, at));
    say(`Removed ${name}`);
    const next = /** @type {HTMLElement|undefined} */ (
      this.list.querySelectorAll(".out")[Math.min(at, this.app.place.parts.length - 1)]
    );
    (next ?? this.app.bar.input).focus();
  }

  /** @param {KeyboardEvent} event @param {number} at */
  nudged(event, at) {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const to = at + (by ?? 0);
    if (!by || to < 0 || to >= this.app.place.parts.length) return;
    event.preventDefault();
    const part = this.app.place.parts[at];
    this.app.go(move(this.app.place, at, to));
    focusOn(this.list, `grip ${keyOf(part)}`);
    say(`${label(part)} is now ${to + 1} of ${this.app.place.parts.length}`);
  }

  /**
   * Follows the pointer until it is let go; then the part stays where its chip is.
   * @param {PointerEvent} event
   * @param {HTMLElement} chip
   */
  dragged(event, chip) {
    if (event.button !== 0) return;
    event.preventDefault();
    const grip = /** @type {HTMLElement} */ (event.currentTarget);
    grip.focus();
    const from = [...this.list.children].indexOf(chip);
    const listening = new AbortController();
    chip.classList.add("dragged");
    const moving = (/** @type {PointerEvent} */ now) => {
      const over = document
        .elementsFromPoint(now.clientX, now.clientY)
        .map((one) => one.closest(".chip"))
        .find((one) => one && one !== chip && this.list.contains(one));
      if (!over) return;
      const after = [...this.list.children].indexOf(chip) < [...this.list.children].indexOf(over);
      over[after ? "after" : "before"](chip);
    };
    const ended = () => {
      listening.abort();
      chip.classList.remove("dragged");
      const to = [...this.list.querySelectorAll(".chip")].indexOf(chip);
      this.shown = "";
      if (to !== from) this.app.go(move(this.app.place, from, to));
      else this.update(this.app.place);
    };
    // On the window: an element that is moved in the document loses its hold of the pointer.
    addEventListener("pointermove", moving, { signal: listening.signal });
    for (const end of ["pointerup", "pointercancel", "blur"])
      addEventListener(end, ended, { signal: listening.signal });
  }
}

/** @param {HTMLElement} chip @param {number} weight */
function weighed(chip, weight) {
  chip.classList.toggle("negative", weight < 0);
  chip.classList.toggle("ignored", weight === 0);
  const slider = /** @type {HTMLInputElement} */ (chip.querySelector("input[type=range]"));
  slider.setAttribute(
    "aria-valuetext",
    weight === 0 ? "left out" : weight < 0 ? `${weight}: less like this` : String(weight),
  );
  /** @type {HTMLOutputElement} */ (chip.querySelector("output")).textContent =
    (weight < 0 ? "−" : "") + Math.abs(weight).toFixed(2).replace(/0$/, "");
}

/** @param {Part} part */
function label(part) {
  if (part.kind === "text") return `the words “${part.text}”`;
  return part.kind === "like" ? "the item" : part.edit ? `the picture with the edit “${part.edit}”` : "the picture";
}
