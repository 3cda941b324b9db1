// What is similar to a point: cosines of tokens, over the grey photograph.

import { el } from "../dom.js";
import { bytesOf, fromPixels } from "../photo.js";
import { scaleBar } from "../scale.js";

export default {
  title: "Similar",
  opacity: 0.65,

  paint(pen, photo, layer, view) {
    if (!photo.heat) return;
    pen.globalCompositeOperation = "saturation";
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, photo.width, photo.height);
    pen.globalCompositeOperation = "source-over";
    const range = rangeOf(view);
    const [x1, y1, x2, y2] = photo.heat.window;
    const picture = photo.paintedAs(layer.key, `${photo.heat.made} ${range}`, () => paintCosines(photo.heat, range, view.ramp));
    pen.drawImage(picture, x1, y1, x2 - x1, y2 - y1);
  },

  read(photo, layer, x, y) {
    if (!photo.heat) return [];
    const cosine = cosineAt(photo.heat, x, y);
    layer.bar?.mark(cosine);
    return cosine === null ? [] : [{ label: layer.title, value: `cosine ${cosine.toFixed(2)}` }];
  },

  body(layer, view) {
    const hint = (text) => el("p", { className: "hint" }, text);
    layer.bar = null;
    if (!view.point) return [hint("Click a point of a photograph, or move the crosshair there with the arrow keys and press Enter.")];
    const [low, high] = rangeOf(view);
    layer.bar = scaleBar(view.ramp, { low, high, label: "Cosine" });
    const clear = el("button", { type: "button", className: "small", id: "clear-point" }, "Clear the point");
    clear.onclick = () => view.clearPoint();
    const best = view.photos.map((photo) => photo.heat?.best).find(Boolean);
    return [
      layer.bar,
      best ? hint(`Best match in the other photograph: cosine ${best.score.toFixed(2)}.`) : null,
      hint(`Cosine of each place with the point, by ${view.photos[0].answer.similarBy}.`),
      clear,
    ];
  },
};

/** The ends of the colours, shared by all photographs. */
function rangeOf(view) {
  const lows = view.photos.map((photo) => photo.heat?.low).filter((low) => low !== undefined);
  return lows.length ? [Math.min(...lows, 0.99), 1] : [0, 1];
}

function cosineAt({ rows, columns, window: [x1, y1, x2, y2], low, high, bytes }, x, y) {
  const column = Math.floor(((x - x1) / (x2 - x1)) * columns);
  const row = Math.floor(((y - y1) / (y2 - y1)) * rows);
  if (column < 0 || row < 0 || column >= columns || row >= rows) return null;
  return low + (bytes[row * columns + column] / 255) * (high - low);
}

function paintCosines({ rows, columns, low, high, bytes }, [least, most], ramp) {
  const colors = Uint32Array.from({ length: 256 }, (_, step) => {
    const cosine = low + (step / 255) * (high - low);
    return ramp[Math.round(255 * Math.min(1, Math.max(0, (cosine - least) / (most - least))))];
  });
  return fromPixels(columns, rows, (pixels) => bytes.forEach((step, place) => (pixels[place] = colors[step])));
}

let made = 0;

/** A part of the server's answer as the photograph keeps it. */
export const heatOf = (part) => ({ ...part, bytes: bytesOf(part.cosines), made: ++made });
