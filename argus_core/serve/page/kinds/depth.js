// The distance of every pixel: near is light, far is dark.

import { el, swatch } from "../dom.js";
import { fromPixels, placeIn } from "../photo.js";
import { scaleBar } from "../scale.js";

const OUTLIERS = 0.01;

export default {
  title: "Depth",
  opacity: 0.7,
  covers: true,

  paint(pen, photo, layer, view) {
    const map = photo.maps.get(layer.head);
    if (!map) return;
    const range = rangeOf(layer, view);
    const picture = photo.paintedAs(layer.key, range.join(), () => paintDepth(map, range, view.ramp));
    pen.drawImage(picture, 0, 0, photo.width, photo.height);
  },

  read(photo, layer, x, y) {
    const map = photo.maps.get(layer.head);
    if (!map) return [];
    const place = placeIn(map, photo, x, y);
    const metres = map.steps[place] * map.step;
    layer.bar?.mark(metres > 0 ? metres : null);
    const value = metres > 0 ? `${metres.toFixed(2)} m ± ${(map.deviation[place] * map.spread).toFixed(2)} m` : "unknown";
    return [{ label: layer.title, value }];
  },

  body(layer, view) {
    const [low, high] = rangeOf(layer, view);
    layer.bar = scaleBar(view.ramp, { low, high, unit: "m", falling: true, label: "Depth" });
    const unknown = view.photos.some((photo) => photo.maps.get(layer.head)?.steps.includes(0));
    return [layer.bar, unknown ? el("p", { className: "hint" }, swatch("rgb(144 144 144)"), " unknown") : null];
  },
};

/** Metres of the colours' ends: percentiles of all photographs together, so that a colour means the same in each. */
function rangeOf(layer, view) {
  const maps = view.photos.map((photo) => photo.maps.get(layer.head)).filter(Boolean);
  const ends = maps.map(percentiles).filter(Boolean);
  return ends.length ? [Math.min(...ends.map(([low]) => low)), Math.max(...ends.map(([, high]) => high))] : [0, 1];
}

function percentiles(map) {
  if (map.ends !== undefined) return map.ends;
  const counts = new Uint32Array(4096);
  for (const step of map.steps) counts[step]++;
  const known = map.steps.length - counts[0];
  const at = (share) => {
    let left = share * known;
    for (let step = 1; step < counts.length; step++) if ((left -= counts[step]) <= 0) return step * map.step;
    return (counts.length - 1) * map.step;
  };
  map.ends = known ? [at(OUTLIERS), at(1 - OUTLIERS)] : null;
  return map.ends;
}

function paintDepth({ width, height, steps, step }, [low, high], ramp) {
  const colors = Uint32Array.from({ length: 4096 }, (_, n) => {
    const share = Math.min(1, Math.max(0, (n * step - low) / (high - low || 1)));
    return ramp[Math.round(255 * (1 - share))];
  });
  colors[0] = 0xff909090;
  return fromPixels(width, height, (pixels) => steps.forEach((value, place) => (pixels[place] = colors[value])));
}
