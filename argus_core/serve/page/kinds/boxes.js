// Objects, each with its class and score.

import { el } from "../dom.js";
import { legend, merged } from "../legend.js";

const OVERLAP = 0.5;
const DASHES = [7, 5]; // of boxes that masks of another head contradict

export default {
  title: "Boxes",
  opacity: 1,

  paint(pen, photo, layer, view, unit) {
    const boxes = drawn(photo, layer);
    const own = boxes.filter((box) => layer.focus === null || box.class_id === layer.focus);
    for (const box of [...own].reverse()) frame(pen, box, unit);
    for (const box of [...own].reverse()) tag(pen, box, photo, unit);
  },

  read(photo, layer, x, y) {
    const under = drawn(photo, layer).filter(({ box: [x1, y1, x2, y2] }) => x1 <= x && x < x2 && y1 <= y && y < y2);
    layer.under = { photo, boxes: under };
    const value = under.map((box) => textOf(box) + (box.doubted ? `, doubted: ${box.doubted.by} sees ${box.doubted.seen}` : ""));
    return [{ label: layer.title, value: value.join("; ") || "none here", color: under[0]?.color }];
  },

  body(layer, view) {
    const list = el("div");
    const shown = el("output", {}, layer.threshold.toFixed(2));
    const fill = () => {
      const lists = view.photos.map((photo) => drawn(photo, layer));
      const items = merged(lists, (found) => (found.length ? `${found.length} ×` : "–"));
      const doubted = lists.flat().filter((box) => box.doubted).length;
      list.replaceChildren(
        items.length ? legend(items, layer, view) : "No object scores as much as this.",
        doubted ? el("p", { className: "hint" }, `Dashed: ${doubted} without a mask of the same class; most such boxes are false.`) : "",
      );
    };
    const slider = el("input", {
      type: "range",
      min: String(view.model.leastScore),
      max: "1",
      step: "0.01",
      value: String(layer.threshold),
      aria: { label: `Lowest score of ${layer.title.toLowerCase()}` },
    });
    slider.oninput = () => {
      layer.threshold = Number(slider.value);
      shown.textContent = layer.threshold.toFixed(2);
      fill();
      view.repaint();
    };
    fill();
    return [el("div", { className: "field" }, el("span", {}, "Lowest score"), slider, shown), list];
  },
};

/** The boxes above the threshold, best first, without those that overlap a better one by half or more. */
export function drawn(photo, layer) {
  const kept = [];
  for (const box of photo.head(layer)?.boxes ?? []) {
    if (box.score >= layer.threshold && kept.every((other) => overlap(box.box, other.box) <= OVERLAP)) kept.push(box);
  }
  return kept;
}

function overlap([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) {
  const width = Math.max(0, Math.min(ax2, bx2) - Math.max(ax1, bx1));
  const height = Math.max(0, Math.min(ay2, by2) - Math.max(ay1, by1));
  const both = width * height;
  return both / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both || 1);
}

const textOf = ({ class_name: name, score, doubted }) => `${name} ${score.toFixed(2)}${doubted ? "?" : ""}`;

function frame(pen, { box: [x1, y1, x2, y2], color, doubted }, unit) {
  pen.setLineDash(doubted ? DASHES.map((length) => length * unit) : []);
  for (const [style, width] of [["rgb(0 0 0 / 0.45)", 4], [color, 2.2]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width * unit;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  pen.setLineDash([]);
}

function tag(pen, box, photo, unit) {
  const [x1, y1] = box.box;
  label(pen, textOf(box), { x: x1, y: y1, color: box.color, photo, unit });
}

/** A text on its colour, above x, y or below it where there is no room; it begins at x, or ends there if `ends`. */
export function label(pen, text, { x, y, color, photo, unit, ends = false }) {
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  const width = pen.measureText(text).width + 10 * unit;
  const height = 18 * unit;
  const left = Math.max(0, Math.min(ends ? x - width : x - unit, photo.width - width));
  const top = y - height >= 0 ? y - height : Math.min(y, photo.height - height);
  pen.fillStyle = color;
  pen.fillRect(left, top, width, height);
  pen.fillStyle = inkOn(color);
  pen.fillText(text, left + 5 * unit, top + height / 2 + unit);
}

/** Black or white, whichever is easier to read on a colour. */
function inkOn(color) {
  const [red, green, blue] = [1, 3, 5].map((place) => (parseInt(color.slice(place, place + 2), 16) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.3 ? "#000" : "#fff";
}
