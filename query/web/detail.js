/** All there is to know about a hit, on demand. */

import { actions, title } from "./card.js";
import { el } from "./element.js";
import { icon } from "./icons.js";
import { opener, part, player } from "./part.js";
import { itemOf, large } from "./pictures.js";

/** @typedef {import("./app.js").App} App */

export class Detail {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.dialog = el("dialog", {
      class: "detail",
      "aria-labelledby": "detailtitle",
      on: {
        click: (/** @type {Event} */ event) => event.target === this.dialog && this.dialog.close(), // beside it
        close: () => this.dialog.replaceChildren(),
      },
    });
    document.body.append(this.dialog);
  }

  /** @param {any} hit a hit, or a point of the map */
  show(hit) {
    const picture = hit.modality === "image";
    const body = el("div", { class: "facts" });
    const face = el("div", { class: picture ? "plate" : "plate words" });
    if (picture) this.plate(face, hit);
    else face.append(el("p", { text: hit.text ?? "", tabindex: 0 }));
    this.dialog.replaceChildren(
      el(
        "div",
        { class: "inside" },
        face,
        el(
          "div",
          { class: "more" },
          el("h2", { id: "detailtitle", text: title(hit) }),
          hit.text && picture && title(hit) !== hit.text && el("p", { text: hit.text }),
          part(hit) && el("p", { text: part(hit) }),
          opener(this.app, hit),
          actions(this.app, hit, () => this.dialog.close()),
          body,
        ),
        el(
          "button",
          { type: "button", class: "shut", "aria-label": "Close", on: { click: () => this.dialog.close() } },
          icon("close"),
        ),
      ),
    );
    this.facts(body, hit);
    this.dialog.showModal();
  }

  /** @param {HTMLElement} face @param {any} hit */
  async plate(face, hit) {
    if (hit.thumbnail) face.append(el("img", { src: hit.thumbnail, alt: title(hit), draggable: "false" }));
    const video = player(this.app, hit);
    if (video) {
      video.addEventListener("error", () => video.remove()); // a format that the browser cannot play
      face.replaceChildren(video);
      return;
    }
    try {
      const one = hit.thumbnail ? hit : await itemOf(this.app.place.collection, hit.id);
      if (!hit.thumbnail) face.append(el("img", { src: one.thumbnail, alt: title(hit) }));
      const big = el("img", { src: await large(this.app.place.collection, one), alt: title(hit), draggable: "false" });
      await big.decode(); // a format that the browser cannot show leaves the thumbnail
      face.replaceChildren(big);
    } catch {
      if (!face.childElementCount) face.append(icon("picture"));
    }
  }

  /** @param {HTMLElement} body @param {any} hit */
  async facts(body, hit) {
    const show = (/** @type {any} */ one) => {
      const rows = [
        ["Score", hit.score === undefined ? null : hit.score.toFixed(4)],
        ["Size", one.width ? `${one.width} × ${one.height}` : null],
        ...Object.entries(one.metadata ?? {}),
        ["Id", one.id],
        ["From", one.uri],
        ["Indexed", one.indexed_at?.slice(0, 16).replace("T", " ")],
      ];
      body.replaceChildren(
        el(
          "dl",
          {},
          ...rows
            .filter(([, value]) => value !== null && value !== undefined && value !== "")
            .map(([name, value]) =>
              el(
                "div",
                {},
                el("dt", { text: name }),
                el("dd", { text: Array.isArray(value) ? value.join(", ") : String(value) }),
              ),
            ),
        ),
      );
    };
    show(hit);
    if (hit.width === undefined || hit.metadata === undefined)
      await itemOf(this.app.place.collection, hit.id).then(
        (one) => show({ ...hit, ...one }),
        () => null,
      );
  }
}
