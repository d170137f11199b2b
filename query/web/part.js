/** Parts of files, pages of documents and moments of videos: what they are called, and how the file opens there. */

import { api } from "./api.js";
import { el } from "./element.js";
import { icon } from "./icons.js";
import { key } from "./key.js";

/**
 * Which part of its file a hit is, for people; "" for a file of its own.
 * @param {{uri?: string, metadata?: Record<string, any>}} hit
 */
export function part(hit) {
  const { page, pages, page_label: label } = hit.metadata ?? {};
  if (moment(hit)) return `${clock(hit.metadata?.start ?? 0)} of ${clock(hit.metadata?.duration ?? 0)}`;
  if (!page || !pages) return "";
  return `page ${label ? `${label} (${page} of ${pages})` : `${page} of ${pages}`}`;
}

/** Whether a hit is a moment of a video. @param {{uri?: string}} hit */
export const moment = (hit) => /#t=[\d.,]+$/.test(hit.uri ?? "");

/** Seconds as a player shows them: 1:05, 1:00:05. @param {number} seconds */
function clock(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  if (!parts[0]) parts.shift();
  return parts.map((one, at) => (at ? String(one).padStart(2, "0") : one)).join(":");
}

/**
 * A player that begins at a hit's moment; null for others, and where a key is needed, which a player cannot send.
 * @param {import("./app.js").App} app
 * @param {{id: string, uri?: string}} hit
 */
export function player(app, hit) {
  const [, fragment] = /^file:[^#]*(#t=[\d.]+)[\d.,]*$/.exec(hit.uri ?? "") ?? [];
  if (!fragment || key()) return null;
  const src = `${api.originalAt(app.place.collection, hit.id)}${fragment}`;
  return el("video", { src, controls: true, preload: "metadata", playsinline: true });
}

/**
 * A link that opens the file of a hit at its part; null for a file of its own, and for one that the service cannot send.
 * @param {import("./app.js").App} app
 * @param {{id: string, uri?: string, metadata?: Record<string, any>}} hit
 */
export function opener(app, hit) {
  const [, fragment] = /^file:[^#]*(#(?:page|t)=[\d.,]+)$/.exec(hit.uri ?? "") ?? [];
  if (!fragment) return null;
  const collection = app.place.collection;
  return el(
    "a",
    {
      class: "opener",
      href: `${api.originalAt(collection, hit.id)}${fragment}`,
      target: "_blank",
      rel: "noopener",
      on: {
        click: async (/** @type {Event} */ event) => {
          if (!key()) return;
          event.preventDefault(); // a link cannot send the key
          const tab = window.open(); // now, while the click allows it
          const blob = await api.original(collection, hit.id).catch(() => null);
          if (!blob) tab?.close();
          else if (tab) tab.location.href = URL.createObjectURL(blob) + fragment;
        },
      },
    },
    icon("link"),
    el("span", { text: `Open ${moment(hit) ? "at " : ""}${part(hit).replace(/ of [\d:]+$| \(.*\)/, "")}` }),
  );
}
