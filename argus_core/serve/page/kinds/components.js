// The tokens themselves: their first three principal components as red, green and blue.

import { el } from "../dom.js";
import { abgr, bytesOf, fromPixels } from "../photo.js";
import { getComponents } from "../server.js";

export default {
  title: "Tokens",
  opacity: 0.9,
  covers: true,

  paint(pen, photo, layer) {
    const part = photo.components;
    if (!part) return;
    const picture = photo.paintedAs(layer.key, part, () => paintCells(part));
    const [x1, y1, x2, y2] = part.window;
    pen.imageSmoothingEnabled = layer.smooth;
    pen.drawImage(picture, 0, 0, ...part.cells, x1, y1, x2 - x1, y2 - y1);
    pen.imageSmoothingEnabled = true;
  },

  body(layer, view) {
    const choice = el(
      "select",
      { aria: { label: "Layer of the backbone" } },
      ...view.photos[0].answer.tokens.map(({ layer: number, stride }) =>
        el("option", { value: String(number), selected: number === layer.layer }, `layer ${number}, cells of ${stride} px`),
      ),
    );
    choice.onchange = () => {
      layer.layer = Number(choice.value);
      void view.refreshComponents();
    };
    const smooth = el("input", { type: "checkbox", checked: layer.smooth });
    smooth.onchange = () => {
      layer.smooth = smooth.checked;
      view.repaint();
    };
    return [
      el("div", { className: "field" }, choice, el("label", { className: "check" }, smooth, " smooth")),
      el("p", { className: "hint" }, "Three principal components as red, green and blue: equal colours, similar tokens."),
    ];
  },
};

/** The layer that is shown first: the finest of those whose cells are 16 px or the nearest to it. */
export function firstLayer(tokens) {
  const far = ({ stride }) => Math.abs(Math.log2(stride / 16));
  return tokens.reduce((best, one) => (far(one) <= far(best) ? one : best)).layer;
}

/** Fetch the components of all photographs together, so that a colour means the same in each. */
export async function fetchComponents(photos, layer) {
  const parts = await getComponents(photos, layer.layer);
  photos.forEach((photo, place) => (photo.components = parts[place]));
}

function paintCells({ rows, columns, colors }) {
  const bytes = bytesOf(colors);
  return fromPixels(columns, rows, (pixels) => {
    for (let place = 0; place < pixels.length; place++) {
      pixels[place] = abgr(bytes[3 * place], bytes[3 * place + 1], bytes[3 * place + 2]);
    }
  });
}
