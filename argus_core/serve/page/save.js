// What is seen as a picture of full size, and what was found as JSON.

import { el, sheet } from "./dom.js";
import { drawPoint } from "./stage.js";
import { paintPhoto } from "./layers.js";
import { getResults } from "./server.js";

const GAP = 0.02;

/** The view in pixels of the photographs, side by side where there are two. */
export function compose(view) {
  const { photos } = view;
  const gap = photos.length > 1 ? Math.round(GAP * photos[0].width) : 0;
  const whole = sheet(
    photos.reduce((width, photo) => width + photo.width, gap),
    Math.max(...photos.map((photo) => photo.height)),
  );
  const pen = whole.getContext("2d");
  let left = 0;
  photos.forEach((photo, place) => {
    const one = sheet(photo.width, photo.height);
    const unit = Math.max(photo.width, photo.height) / 900;
    paintPhoto(one.getContext("2d"), photo, view, 1, unit);
    drawPoint(one.getContext("2d"), photo, view, place, unit);
    pen.drawImage(one, left, 0);
    left += photo.width + gap;
  });
  return whole;
}

export async function savePicture(view) {
  const blob = await new Promise((resolve) => compose(view).toBlob(resolve, "image/png"));
  if (!blob) throw new Error("This browser cannot make a picture of this size.");
  save(blob, `${stem(view.photos[0].name)}-argus.png`);
}

/** The answers of all heads, boxes above the threshold of their layer. */
export async function saveResults(view) {
  const images = [];
  for (const photo of view.photos) {
    const results = await getResults(photo);
    for (const layer of view.layers.filter(({ kind }) => kind === "boxes")) {
      const answer = results[layer.head];
      if (answer) answer.detections = answer.detections.filter(({ score }) => score >= layer.threshold);
    }
    images.push({ file_name: photo.name, size: [photo.height, photo.width], results });
  }
  const text = JSON.stringify({ model: view.model.name, images }, null, 2);
  save(new Blob([text], { type: "application/json" }), `${stem(view.photos[0].name)}-argus.json`);
}

const stem = (name) => name.replace(/\.[^.]*$/, "") || "photograph";

/** Offer a blob as a file. */
export function save(blob, name) {
  const href = URL.createObjectURL(blob);
  const link = el("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}
