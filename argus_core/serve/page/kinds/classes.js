// What the whole photograph shows, with scores.

import { el } from "../dom.js";
import { label } from "./boxes.js";

const DRAWN = 3;

export default {
  title: "Classes",
  opacity: 1,

  paint(pen, photo, layer, view, unit) {
    const best = (photo.head(layer)?.classes ?? []).slice(0, DRAWN);
    best.forEach(({ class_name: name, score }, place) => {
      const y = photo.height - (8 + 21 * (best.length - 1 - place)) * unit;
      label(pen, `${name} ${score.toFixed(2)}`, { x: 9 * unit, y, color: "#ffffff", photo, unit });
    });
  },

  body(layer, view) {
    return view.photos.map((photo, place) =>
      el(
        "div",
        {},
        view.photos.length > 1 ? el("h3", {}, view.nameOf(place)) : null,
        el("ol", { className: "bars" }, ...(photo.head(layer)?.classes ?? []).slice(0, 5).map(row)),
      ),
    );
  },
};

function row({ class_name: name, score }) {
  const width = `${(100 * Math.min(1, Math.max(0, score))).toFixed(1)}%`;
  return el(
    "li",
    {},
    el("span", { className: "name" }, name),
    el("span", { className: "bar" }, el("i", { style: { width } })),
    el("span", { className: "note" }, score.toFixed(2)),
  );
}
