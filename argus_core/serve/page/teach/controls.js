// The controls of teaching: what is marked, for which class, and what becomes of it.

import { el, smallButton, swatch } from "../dom.js";
import { numberOf } from "./marks.js";
import { saving } from "./saving.js";

const TASKS = { segment: "Points, for masks", detect: "Boxes, for objects" };
const HINTS = {
  segment: "Click on what belongs to the class that is chosen, and on something else. A click on a mark takes it away.",
  detect: "Drag around every object of the class that is chosen, or click two opposite corners.",
};

/** The card of a lesson. */
export function teachCard(lesson) {
  const { view } = lesson;
  const told = lesson.missing || (lesson.running ? "Learning" : "");
  return el(
    "section",
    { className: "layer teach", aria: { label: "Teach" } },
    el("h3", {}, "Teach"),
    el("div", { className: "body" }, tasks(lesson), el("p", { className: "hint" }, HINTS[lesson.task]), classes(lesson)),
    el("p", { className: "missing", role: "status" }, told),
    el(
      "div",
      { className: "row" },
      button("Add a class", "add", () => add(lesson), lesson.classes.length + 1 >= lesson.limits.classes),
      button("Undo", "undo", () => lesson.undo(), !lesson.history.length),
      button("Clear", "clear", () => lesson.clear(), !lesson.entriesMarked.length),
    ),
    marks(lesson, view),
    saving(lesson),
  );
}

const button = (text, key, ...rest) => smallButton(text, `teach ${key}`, ...rest);

function add(lesson) {
  const one = lesson.addClass();
  lesson.view.rebuild();
  const name = document.querySelector(`[data-key="teach name ${one.key}"]`);
  name.focus();
  name.select();
}

function tasks(lesson) {
  const choices = lesson.view.model.teach.tasks.filter((task) => task in TASKS);
  const radio = (task) => {
    const key = `teach ${task}`;
    const node = el("input", { type: "radio", name: "teach-task", checked: lesson.task === task, data: { key } });
    node.onchange = () => lesson.setTask(task);
    return el("label", { className: "check" }, node, TASKS[task]);
  };
  return el("div", { className: "row", role: "radiogroup", aria: { label: "What is marked" } }, ...choices.map(radio));
}

function classes(lesson) {
  return el("ul", { className: "classes" }, ...lesson.choices.map((one) => el("li", {}, ...row(lesson, one))));
}

function row(lesson, one) {
  const { view } = lesson;
  const number = numberOf(lesson, one);
  const choice = el("input", {
    type: "radio",
    name: "teach-class",
    checked: lesson.current === one,
    aria: { label: `Mark ${one.name}, key ${number}` },
    data: { key: `teach choice ${one.key}` },
  });
  choice.onchange = () => lesson.choose(one);
  const count = el("span", { className: "note" }, String(lesson.count(one)));
  const key = el("kbd", {}, String(number));
  if (one === lesson.rest) return [choice, key, swatch(one.color), el("span", { className: "name" }, one.name), count];
  const color = el("input", { type: "color", value: one.color, aria: { label: `Colour of ${one.name}` }, data: { key: `teach color ${one.key}` } });
  color.oninput = () => {
    one.color = color.value;
    lesson.recolor();
  };
  color.onchange = () => view.rebuild();
  const name = el("input", {
    type: "text",
    value: one.name,
    maxLength: lesson.limits.letters,
    aria: { label: `Name of class ${number}` },
    data: { key: `teach name ${one.key}` },
  });
  name.oninput = () => {
    one.name = name.value;
    lesson.renamed = true;
  };
  name.onchange = name.onblur = () => lesson.renamed && void lesson.solve(); // the node may have been built anew since
  const remove = button("×", `remove ${one.key}`, () => lesson.removeClass(one), lesson.classes.length === 1);
  remove.setAttribute("aria-label", `Remove ${one.name}`);
  return [choice, key, color, name, count, remove];
}

/** Each mark with a button that takes it away. */
function marks(lesson, view) {
  const where = (at) => at.map((number) => Math.round(number)).join(", ");
  const rows = view.photos.flatMap((photo) =>
    lesson.marksOf(photo).map((mark, place) =>
      el("li", {}, swatch(mark.of.color), el("span", { className: "name" }, `${mark.of.name} at ${where(mark.at)}`), taking(lesson, photo, mark, place)),
    ),
  );
  const open = document.querySelector(".teach .marks")?.open ?? false; // rebuilding must not close it
  const list = el("details", { className: "marks", open }, el("summary", {}, `Marks here: ${rows.length}`), el("ul", {}, ...rows));
  const others = lesson.entriesMarked.filter(({ id }) => !view.photos.some((photo) => photo.id === id));
  const words = others.length ? el("p", { className: "hint" }, `Marks on other photographs too: ${others.map(({ name }) => name).join(", ")}.`) : null;
  return el("div", {}, list, words);
}

function taking(lesson, photo, mark, place) {
  const node = button("Remove", `mark ${photo.id} ${place}`, () => lesson.remove(photo, mark));
  node.setAttribute("aria-label", `Remove the mark of ${mark.of.name} at ${mark.at.map(Math.round).join(", ")}`);
  return node;
}
