// The class of every pixel, under the colours of a legend.

import { percent } from "../dom.js";
import { legend, merged } from "../legend.js";
import { abgr, fromPixels, placeIn } from "../photo.js";

const NONE = 65535;
const WHITE = abgr(255, 255, 255);

export default {
  title: "Masks",
  opacity: 0.55,
  covers: true,

  paint(pen, photo, layer) {
    const map = photo.maps.get(layer.head);
    if (!map) return;
    const picture = photo.paintedAs(layer.key, `${layer.focus}`, () => paintLabels(map, photo.head(layer).classes, layer.focus));
    pen.drawImage(picture, 0, 0, photo.width, photo.height);
  },

  read(photo, layer, x, y) {
    const map = photo.maps.get(layer.head);
    if (!map) return [];
    const place = placeIn(map, photo, x, y);
    const found = photo.head(layer).classes.find((entry) => entry.class_id === map.labels[place]);
    const value = found ? `${found.class_name}, ${percent(map.confidence[place] / 255)} sure` : "no class";
    return [{ label: layer.title, value, color: found?.color }];
  },

  body(layer, view) {
    const lists = view.photos.map((photo) => photo.head(layer)?.classes ?? []);
    const items = merged(lists, ([entry]) => (entry ? percent(entry.share) : "–"));
    return items.length ? [legend(items, layer, view)] : ["The model sees no class here."];
  },
};

function paintLabels({ width, height, labels }, classes, focus) {
  const colors = new Map(
    classes.map(({ class_id: id, color, clear }) => {
      const [red, green, blue] = [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));
      const shown = focus === null ? (clear ? 0 : 255) : focus === id ? 255 : 40;
      return [id, abgr(red, green, blue, shown)];
    }),
  );
  return fromPixels(width, height, (pixels) => {
    for (let row = 0, place = 0; row < height; row++) {
      for (let column = 0; column < width; column++, place++) {
        const label = labels[place];
        const right = column + 1 < width ? labels[place + 1] : label;
        const below = row + 1 < height ? labels[place + width] : label;
        const edge = (label !== right && shows(label, right, focus)) || (label !== below && shows(label, below, focus));
        pixels[place] = edge ? WHITE : label === NONE ? 0 : colors.get(label);
      }
    }
  });
}

/** Whether there is a line between two classes: all lines, or those around the one looked at. */
const shows = (one, other, focus) => focus === null || one === focus || other === focus;
