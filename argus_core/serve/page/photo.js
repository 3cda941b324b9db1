// A photograph: its pixels here, and what the server said about it.

import { sheet } from "./dom.js";
import { getPlanes, getShown, sendImage } from "./server.js";

export class Photo {
  constructor(blob, name) {
    Object.assign(this, { blob, name, picture: null, width: 0, height: 0, id: "", heads: [], answer: null });
    this.maps = new Map(); // planes of numbers by head
    this.painted = new Map(); // pictures of maps by layer, until their key changes
    this.components = null;
    this.heat = null;
  }

  /** The answer of the head that made a layer, undefined if this photograph has none. */
  head(layer) {
    return this.heads.find((head) => head.name === layer.head);
  }

  /** The picture of a layer's map: the one that was painted with this key, or a new one. */
  paintedAs(name, key, draw) {
    const had = this.painted.get(name);
    if (had?.key === key) return had.canvas;
    const canvas = draw();
    this.painted.set(name, { key, canvas });
    return canvas;
  }
}

/** Show the photograph before it is sent, if this browser knows the format. */
export async function preview(photo) {
  try {
    use(photo, await createImageBitmap(photo.blob, { imageOrientation: "from-image" }));
  } catch {
    photo.picture = null;
  }
}

function use(photo, bitmap) {
  Object.assign(photo, { picture: bitmap, width: bitmap.width, height: bitmap.height });
}

/** Ask the server about a photograph; `told` is called with what happens, in words, and the share that is done. */
export async function ask(photo, told, signal) {
  const sending = (share) => (share < 1 ? told(`Sending, ${Math.round(100 * share)} %`, share) : told("Looking", null));
  sending(0);
  const answer = await sendImage(photo.blob, sending, signal);
  const [height, width] = answer.size;
  if (!photo.picture || photo.width !== width || photo.height !== height) {
    use(photo, await createImageBitmap(await getShown(photo.blob)));
  }
  Object.assign(photo, { id: answer.id, heads: answer.heads, answer });
  told("Fetching the maps", null);
  const dense = photo.heads.filter((head) => head.kind in PLANES);
  await Promise.all(dense.map(async (head) => photo.maps.set(head.name, PLANES[head.kind](await getPlanes(photo, head.name), head))));
}

/** The planes of a layer that came as base64 of gzip. */
export async function planesOf(text, head) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return PLANES[head.kind](await new Response(stream).arrayBuffer(), head);
}

// Browsers run on machines that store the low byte first, as the planes do.
const PLANES = {
  masks(bytes, { size: [height, width] }) {
    const count = height * width;
    return { height, width, labels: new Uint16Array(bytes, 0, count), confidence: new Uint8Array(bytes, 2 * count, count) };
  },
  depth(bytes, { size: [height, width], step, spread }) {
    const count = height * width;
    const steps = new Uint16Array(bytes, 0, count);
    for (let start = 0; start < count; start += width) {
      for (let place = start + 1; place < start + width; place++) steps[place] += steps[place - 1];
    }
    return { height, width, steps, deviation: new Uint8Array(bytes, 2 * count, count), step, spread };
  },
};

/** The place in a map's planes of x, y pixels of the photograph. */
export function placeIn(map, photo, x, y) {
  const column = Math.min(map.width - 1, Math.floor((x * map.width) / photo.width));
  const row = Math.min(map.height - 1, Math.floor((y * map.height) / photo.height));
  return row * map.width + column;
}

/** A canvas of `width` x `height` whose pixels are filled by `fill(pixels)`, an array of ABGR numbers. */
export function fromPixels(width, height, fill) {
  const canvas = sheet(width, height);
  const data = new ImageData(width, height);
  fill(new Uint32Array(data.data.buffer));
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

export const abgr = (red, green, blue, alpha = 255) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
