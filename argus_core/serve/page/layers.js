// The layers that a model's answers make, and how they lie over each other.

import boxes from "./kinds/boxes.js";
import classes from "./kinds/classes.js";
import components, { firstLayer } from "./kinds/components.js";
import depth from "./kinds/depth.js";
import masks from "./kinds/masks.js";
import other from "./kinds/other.js";
import similar from "./kinds/similar.js";

const photo = {
  title: "Photograph",
  opacity: 1,
  paint: (pen, shown) => pen.drawImage(shown.picture, 0, 0, shown.width, shown.height),
  body: () => [],
};

/** In the order of the panel. */
export const KINDS = { photo, similar, classes, boxes, masks, depth, components, other };

/** From the bottom to the top. */
const ORDER = ["photo", "components", "depth", "masks", "similar", "boxes", "classes"];

/** The layers of the answers about a photograph, in the order of the panel. */
export function layersOf(answer) {
  const heads = answer.heads.filter(({ kind }) => kind in KINDS);
  const several = (kind) => heads.filter((head) => head.kind === kind).length > 1;
  const own = heads.map(({ kind, name }) => {
    const title = several(kind) || kind === "other" ? `${KINDS[kind].title}: ${name}` : KINDS[kind].title;
    return make(kind, { key: `head ${name}`, head: name, title });
  });
  const rank = ({ kind }) => Object.keys(KINDS).indexOf(kind);
  const tokens = make("components", { layer: firstLayer(answer.tokens), smooth: false });
  const layers = [make("photo"), make("similar"), ...own, tokens].sort((one, two) => rank(one) - rank(two));
  const first = ["masks", "depth", "classes", "components"].find((kind) => layers.some((layer) => layer.kind === kind));
  const boxed = layers.some(({ kind }) => kind === "boxes");
  for (const layer of layers) layer.shown = ["photo", "boxes", ...(boxed && first !== "masks" ? [] : [first])].includes(layer.kind);
  return layers;
}

/** A layer of a kind; `more` overrides what it begins with. */
export function make(kind, more = {}) {
  const { title, opacity } = KINDS[kind];
  return { kind, key: kind, title, opacity, shown: false, focus: null, pinned: null, threshold: 0.3, ...more };
}

/** Draw what is shown of a photograph; a pixel of the pen's canvas is 1 / `scale` of its own, text is in `unit` of these. */
export function paintPhoto(pen, shown, view, scale, unit) {
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, shown.width, shown.height);
  pen.imageSmoothingQuality = "high";
  for (const kind of ORDER) {
    for (const layer of view.layers.length ? view.layers : [make("photo", { shown: true })]) {
      if (layer.kind !== kind || !layer.shown) continue;
      pen.globalAlpha = layer.opacity;
      KINDS[kind].paint(pen, shown, layer, view, unit);
    }
  }
  pen.globalAlpha = 1;
}

/** What is under x, y pixels of a photograph: label, value and colour of each layer that can say it. */
export function readPhoto(shown, view, x, y) {
  return view.layers.flatMap((layer) => KINDS[layer.kind].read?.(shown, layer, x, y) ?? []);
}
