/** A region of a picture, drawn with the pointer, moved and resized by keys, or typed in percent. */

import { el, say } from "./element.js";
import { icon } from "./icons.js";
import { itemOf, large, preview } from "./pictures.js";
import { change, keyOf } from "./place.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./place.js").Crop} Crop
 */

const NAMES = ["Left", "Top", "Width", "Height"];
const WHOLE = [0, 0, 1, 1];

/** The least side of a region, and what one key press changes: shares of the picture. */
const LEAST = 0.01;

/** What an arrow key moves, and resizes with Shift: by place in a region. @type {Record<string, [number, number]>} */
const KEYS = { ArrowLeft: [0, -LEAST], ArrowRight: [0, LEAST], ArrowUp: [1, -LEAST], ArrowDown: [1, LEAST] };

export class Cropper {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {Crop} */
    this.region = WHOLE;
    /** @type {any} */
    this.box = null;
    /** @type {any} */
    this.frame = null;
    /** @type {HTMLInputElement[]} */
    this.numbers = [];
    this.dialog = el("dialog", {
      class: "detail cropper",
      "aria-labelledby": "croptitle",
      on: {
        click: (/** @type {Event} */ event) => event.target === this.dialog && this.dialog.close(), // beside it
        close: () => this.dialog.replaceChildren(),
      },
    });
    document.body.append(this.dialog);
  }

  /** Asks for the region of a part of the query. @param {number} at */
  show(at) {
    const part = this.app.place.parts[at];
    if (part?.kind !== "picture") return;
    this.box = el("div", {
      class: "region",
      tabindex: 0,
      role: "group",
      "aria-label": "Region: arrow keys move it, with Shift they resize it",
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this.pressed(event) },
    });
    this.frame = el(
      "div",
      { class: "frame", on: { pointerdown: (/** @type {PointerEvent} */ event) => this.drawn(event) } },
      icon(part.source.from === "url" ? "link" : "picture"),
      this.box,
    );
    this.numbers = NAMES.map((name, place) =>
      el("input", {
        type: "number",
        min: place < 2 ? 0 : 1,
        max: 100,
        step: 1,
        "aria-label": `${name}, percent of the picture`,
        on: { change: () => this.typed() },
      }),
    );
    const done = (/** @type {Crop|null} */ crop) => {
      this.dialog.close();
      this.app.go(change(this.app.place, at, { crop }));
      say(crop ? "Searching by the region" : "Searching by the whole picture");
      const chip = this.app.chips.list.children[at];
      /** @type {HTMLElement|null} */ (chip?.querySelector("button.crop"))?.focus();
    };
    const whole = () => this.region.every((value, place) => value === WHOLE[place]);
    this.dialog.replaceChildren(
      el("h2", { id: "croptitle", text: "Region to search by" }),
      el("div", { class: "stage" }, this.frame),
      el(
        "form",
        {
          class: "percent",
          on: {
            submit: (/** @type {Event} */ event) => {
              event.preventDefault();
              this.typed();
              done(whole() ? null : this.region);
            },
          },
        },
        ...NAMES.map((name, place) => el("label", {}, el("span", { text: `${name} %` }), this.numbers[place])),
        el("button", { type: "submit", class: "primary", text: "Search by this region" }),
        el("button", { type: "button", class: "quiet", text: "Whole picture", on: { click: () => done(null) } }),
      ),
      el(
        "button",
        { type: "button", class: "shut", "aria-label": "Close", on: { click: () => this.dialog.close() } },
        icon("close"),
      ),
    );
    this.set(part.crop ?? WHOLE);
    this.dialog.showModal();
    this.box.focus();
    const key = keyOf(part);
    address(this.app.place.collection, part.source).then(
      (found) => {
        if (this.dialog.open && keyOf(this.app.place.parts[at]) === key)
          this.frame.querySelector(".icon")?.replaceWith(el("img", { src: found, alt: "", draggable: "false" }));
      },
      () => null, // a picture elsewhere is not shown: its region can still be typed
    );
  }

  /** Takes a region as far as it lies within the picture, to a tenth of a percent. @param {Crop} region */
  set(region) {
    const round = (/** @type {number} */ value) => Math.round(1000 * value) / 1000;
    const [left, top] = region.slice(0, 2).map((value) => round(Math.min(Math.max(value, 0), 1 - LEAST)));
    const [width, height] = [left, top].map((start, axis) =>
      round(Math.min(Math.max(region[2 + axis], LEAST), 1 - start)),
    );
    this.region = [left, top, width, height];
    for (const [place, name] of ["left", "top", "width", "height"].entries()) {
      this.box.style[name] = `${100 * this.region[place]}%`;
      this.numbers[place].value = String(round(100 * this.region[place]));
    }
  }

  typed() {
    this.set(this.numbers.map((one) => Number(one.value) / 100));
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const [axis, step] = KEYS[event.key] ?? [];
    if (axis === undefined || step === undefined) return;
    event.preventDefault();
    const place = event.shiftKey ? axis + 2 : axis;
    const most = event.shiftKey ? 1 : 1 - this.region[axis + 2]; // moved, it keeps its size
    this.set(this.region.with(place, Math.min(this.region[place] + step, most)));
    say(this.numbers.map((one, at) => `${NAMES[at]} ${one.value} %`).join(", "));
  }

  /** Follows the pointer from one corner to the other. @param {PointerEvent} event */
  drawn(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.box.focus();
    const bounds = this.frame.getBoundingClientRect();
    const at = (/** @type {PointerEvent} */ now) =>
      [(now.clientX - bounds.left) / bounds.width, (now.clientY - bounds.top) / bounds.height].map((value) =>
        Math.min(Math.max(value, 0), 1),
      );
    const [x, y] = at(event);
    const listening = new AbortController();
    const { signal } = listening;
    const moving = (/** @type {PointerEvent} */ now) => {
      const [across, down] = at(now);
      const [width, height] = [Math.abs(across - x), Math.abs(down - y)];
      if (width >= LEAST && height >= LEAST) this.set([Math.min(x, across), Math.min(y, down), width, height]);
    };
    addEventListener("pointermove", moving, { signal });
    for (const end of ["pointerup", "pointercancel", "blur"])
      addEventListener(end, () => listening.abort(), { signal });
  }
}

/** @param {string} collection @param {import("./place.js").Source} source */
async function address(collection, source) {
  if (source.from !== "hit") return preview(collection, source);
  return large(collection, await itemOf(collection, source.id)).catch(() => preview(collection, source));
}
