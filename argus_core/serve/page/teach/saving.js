// What is taught, saved: as a model on the server, as a head, and as photographs with labels.

import { el, smallButton } from "../dom.js";
import { notify } from "../notices.js";
import { save } from "../save.js";
import { getHead, saveHead } from "../server.js";
import { labelFiles } from "./labels.js";
import { zip } from "./zip.js";

/** The controls that save a lesson. */
export function saving(lesson) {
  const { teach } = lesson.view.model;
  const ready = Boolean(lesson.layer) && !lesson.missing;
  const name = el("input", { type: "text", value: nameOf(lesson), maxLength: teach.limits.letters, aria: { label: "Name of the head" }, data: { key: "teach head name" } });
  name.oninput = () => (lesson.name = name.value);
  return el(
    "div",
    { className: "body saving" },
    el("label", { className: "field" }, el("span", {}, "Name"), name),
    el(
      "div",
      { className: "row" },
      teach.saves ? smallButton("Save head", "teach save", () => told(() => saveModel(lesson)), !ready) : null,
      smallButton("Download head", "teach head", () => told(() => downloadHead(lesson)), !ready),
      smallButton("Download labels", "teach labels", () => told(() => downloadLabels(lesson)), !lesson.entriesMarked.length),
    ),
    teach.saves ? null : el("p", { className: "hint" }, "A server that is started with ", el("code", {}, "--taught FOLDER"), " also saves the model with this head."),
    said(lesson),
  );
}

/** What was saved, and what to type next. */
function said({ saved }) {
  if (!saved) return el("p", { className: "hint", role: "status" });
  const which = saved.head ? ` --head ${saved.head}` : "";
  return el(
    "p",
    { className: "hint", role: "status" },
    `Saved as ${saved.model}. Ask it with `,
    el("code", {}, `argus ${saved.task} PHOTO --model ${saved.model}${which}`),
  );
}

/** The name that was given, or one made of the first class. */
function nameOf(lesson) {
  const first = lesson.classes[0]?.name ?? "";
  return lesson.name ?? (first.trim().replace(/[^A-Za-z0-9_-]+/g, "_").replace(/^[_-]+|_+$/g, "") || "taught");
}

async function told(call) {
  try {
    await call();
  } catch (error) {
    notify(error.message);
  }
}

async function saveModel(lesson) {
  lesson.saved = await saveHead(lesson.entriesMarked, lesson.question, nameOf(lesson));
  lesson.view.rebuild();
}

async function downloadHead(lesson) {
  save(await getHead(lesson.entriesMarked, lesson.question, nameOf(lesson)), `${nameOf(lesson)}.safetensors`);
}

async function downloadLabels(lesson) {
  save(await zip(labelFiles(lesson)), `${nameOf(lesson)}-labels.zip`);
}
