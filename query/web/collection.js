/** The page of a collection: what is in it, how it is searched, where its vectors lie, and a way to put more in. */

import { api } from "./api.js";
import { byId, el } from "./element.js";
import { mapped } from "./map.js";
import { megabytes } from "./pictures.js";
import { Problem } from "./problem.js";
import { failure } from "./states.js";
import { Upload } from "./upload.js";

/** @typedef {import("./app.js").App} App */

const READ_ONLY =
  "Your key may search this collection, not write to it. Ask the operator for one with the scope “write”.";

export class CollectionPage {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.name = "";
    this.signal = new AbortController().signal;
  }

  /** @param {string} name @param {AbortSignal} signal */
  async show(name, signal) {
    this.name = name;
    this.signal = signal;
    document.title = `${name} – Oneword`;
    this.top = el("div", { class: "summary" }, ...bones("tile", 4));
    this.index = el("div", { class: "index" }, ...bones("text", 3));
    this.map = el("div", {}, el("div", { class: "plane bones" }));
    this.held = el("div", {});
    this.upload = new Upload(this.app, () => {
      this.app.filters.forget(name);
      this.app.recount();
      this.numbers();
      this.plane();
    });
    const may = this.app.me.scope !== "read";
    byId("main").replaceChildren(
      el(
        "article",
        { class: "collection" },
        el("h2", { class: "name", text: name }),
        this.top,
        el(
          "div",
          { class: "columns" },
          panel("Map", this.map, "wide"),
          el(
            "div",
            { class: "stack" },
            panel("Index", this.index),
            panel(
              "Add to it",
              may
                ? this.upload.element
                : el("p", {
                    class: "muted",
                    text: READ_ONLY,
                  }),
            ),
            this.held,
          ),
        ),
      ),
    );
    await Promise.all([this.numbers(), this.plane()]);
  }

  async numbers() {
    await this.tried(this.top, async () => {
      const about = await api.collection(this.name, this.signal);
      const { by_modality: by = {}, space } = about;
      this.top.replaceChildren(
        el(
          "dl",
          { class: "tiles" },
          ...[
            ["Items", about.items],
            ["Pictures", by.image ?? 0],
            ["Texts", by.text ?? 0],
            ["Could not be indexed", about.quarantined],
          ].map(([name, count]) =>
            el("div", { class: "tile" }, el("dt", { text: name }), el("dd", { text: count.toLocaleString("en") })),
          ),
        ),
        el(
          "dl",
          { class: "facts" },
          ...[
            ["Model", about.model],
            ["View", about.view],
            ["Dimension", about.dimension],
            ["Space", space.fingerprint],
            ["Version", about.version],
            ["On disk", about.bytes_on_disk === null ? null : megabytes(about.bytes_on_disk)],
            ["Updated", about.updated.slice(0, 16).replace("T", " ")],
          ]
            .filter(([, value]) => value !== null)
            .map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: String(value) }))),
        ),
      );
      this.indexed(about);
      await this.quarantine(about.quarantined);
    });
  }

  /** @param {any} about */
  indexed(about) {
    const admin = this.app.me.scope === "admin";
    const { index } = about;
    const measured = el("p", { class: "muted", role: "status" });
    const button = (/** @type {string} */ text, /** @type {() => Promise<string>} */ work) => {
      const made = el("button", {
        type: "button",
        class: "quiet",
        text,
        on: {
          click: async () => {
            made.disabled = true;
            measured.textContent = "Working…";
            measured.textContent = await work().catch((error) =>
              error instanceof Problem ? error.detail : String(error),
            );
            made.disabled = false;
          },
        },
      });
      return made;
    };
    const measure =
      admin &&
      index &&
      button("Measure recall now", async () => {
        const check = await api.verify(this.name);
        const verdict = check.right ? "It is right" : "It is not right: build it anew";
        return `${verdict}: recall ${check.recall.toFixed(3)} over sampled questions, goal ${check.goal}.`;
      });
    const build =
      admin &&
      button(index ? "Build anew" : "Build the index", async () =>
        (await api.build(this.name)).building
          ? "It is being built; searches go on meanwhile."
          : "It is being built already.",
      );
    const current = index?.version === about.version;
    const standing = current ? "It is up to date." : "What was written since is compared exactly, and merged.";
    const said = index
      ? [
          el(
            "p",
            { class: "recall" },
            el("strong", { text: index.recall === null ? "–" : index.recall.toFixed(3) }),
            ` recall at 10, measured when it was built (goal ${index.goal})`,
          ),
          el("p", {
            class: "muted",
            text: `${index.rows.toLocaleString("en")} vectors: ${kind(index.kind)}. ${standing}`,
          }),
        ]
      : [
          el(
            "p",
            { class: "recall" },
            el("strong", { text: "1.000" }),
            " recall: there is no index, every vector is compared",
          ),
        ];
    this.index.replaceChildren(
      ...said,
      ...(measure || build
        ? [el("p", { class: "row" }, ...[measure, build].filter((one) => one !== false && one !== null))]
        : []),
      measured,
    );
  }

  async plane() {
    await this.tried(this.map, async () => {
      const map = await api.map(this.name, this.signal);
      this.map.replaceChildren(
        map.points.length
          ? mapped(this.app, map)
          : el("p", { class: "plane empty muted", text: "Nothing is stored here yet, so there is nothing to map." }),
      );
    });
  }

  /** @param {number} count */
  async quarantine(count) {
    if (count === 0) return this.held.replaceChildren();
    const { quarantined } = await api.quarantine(this.name, this.signal);
    this.held.replaceChildren(
      panel(
        "Could not be indexed",
        el(
          "ul",
          { class: "outcomes" },
          ...quarantined.map((/** @type {any} */ one) =>
            el(
              "li",
              { class: "refused" },
              el("span", { class: "name", text: decodeURIComponent(one.uri.split("/").pop()), title: one.uri }),
              el("span", { class: "outcome", text: one.reason }),
            ),
          ),
        ),
      ),
    );
  }

  /** @param {HTMLElement} place @param {() => Promise<void>} work */
  async tried(place, work) {
    const { signal } = this;
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.wantsKey) return this.app.failed(error);
      place.replaceChildren(failure(error, () => this.tried(place, work)));
    }
  }
}

/** @param {string} name @param {HTMLElement} body @param {string} [more] */
const panel = (name, body, more = "") => el("section", { class: `panel ${more}` }, el("h3", { text: name }), body);

/** @param {string} kind */
const kind = (kind) =>
  ({ flat: "all are compared, in memory", ivf: "lists of 1-bit codes, the best compared in full" })[kind] ?? kind;

/** @param {string} name @param {number} count */
const bones = (name, count) =>
  Array.from({ length: count }, () => el("div", { class: `bones ${name}`, "aria-hidden": "true" }));
