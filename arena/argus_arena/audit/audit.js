// The page of an audit as a whole.

const place = (one) => `${one.split}: ${one.key}`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function copyCard(copies) {
  const how =
    copies.compared_by === "cells"
      ? `Pairs of near neighbours (${copies.pairs_compared}) were compared cell by cell; the least agreement of a copy is ${copies.threshold.toFixed(2)}.`
      : `The caches hold no maps: only images whose vectors are nearly equal (cosine at least ${copies.threshold}) are listed, unverified.`;
  return card(
    `Copies (${copies.count})`,
    `${how} Groups across splits come first: a score counts images that were trained on.`,
    ...finds(copies.groups, copies.count, copyGroup, true),
  );
}

function copyGroup(group) {
  const heads = [
    group.across_splits ? badge("across splits", "bad") : null,
    group.labels_differ ? badge("labels differ", "bad") : null,
    ...group.kinds.map((kind) => badge(kind)),
    group.kinds.includes("same bytes") ? null : make("span", { class: "soft" }, ` ${group.score.toFixed(2)}`),
    group.count > group.images.length ? make("span", { class: "soft" }, ` ${group.count} images`) : null,
  ];
  return make(
    "div",
    { class: "group" },
    make("p", {}, ...heads.filter(Boolean)),
    make(
      "div",
      { class: "side" },
      ...group.images.map((one) => find(one.src, place(one), one.label ? strong(one.label) : null)),
    ),
    make("p", { class: "soft" }, `${group.suggestion}.`),
  );
}

const KINDS = {
  label: ["Labels", "Classes that a classifier contradicts which was solved without the image, the most doubtful first."],
  "class of a box": ["Classes of boxes", "The box in red holds what looks like another class; other boxes are grey."],
  "missing box": ["Missing boxes", "In green what a detector found without having seen the image, and no box is near; annotated boxes are grey."],
  "needless box": ["Needless boxes", "Nothing that a detector finds supports the box in red."],
  "misplaced box": ["Misplaced boxes", "A detector draws the object of the box in red as the one in green."],
  "region of a mask": ["Regions of masks", "The red cells look like another class."],
  "scale of a depth map": ["Scales of depth maps", "Far off what is expected, as of another unit."],
  "shape of a depth map": ["Shapes of depth maps", "Does not follow what the image shows, as if it were of another one."],
};

function labelCards(task) {
  const cards = task.findings.map((kind) =>
    card(
      `${KINDS[kind.kind][0]} (${kind.count})`,
      KINDS[kind.kind][1],
      ...finds(kind.rows, kind.count, (row) =>
        find(
          row.src,
          place(row),
          row.given ? make("span", {}, row.suggested ? "given " : "", strong(row.given)) : null,
          row.suggested ? make("span", {}, row.given ? " looks like " : "", strong(row.suggested)) : null,
          make("span", { class: "soft" }, ` ${short(row.score)}`),
          row.certain ? badge("certain", "bad") : null,
        ),
      ),
    ),
  );
  const judged = Object.entries(task.judged).map(([what, count]) => `${count} ${what}`);
  const said = [
    judged.length ? `${judged.join(" and ")} were judged by heads solved without them` : "",
    task.agreement === null ? "" : `${percent(task.agreement)} of the labels agree`,
  ].filter(Boolean);
  return [
    make("h2", {}, `Annotations: ${task.task}`),
    said.length ? make("p", { class: "soft" }, `${said.join("; ")}.`) : null,
    ...task.notes.map((note) => make("p", { class: "soft" }, note)),
    judged.length && !cards.length ? make("p", { class: "card" }, "Nothing doubtful was found.") : null,
    ...cards,
  ].filter(Boolean);
}

const outlierCard = (outliers) =>
  card(
    `Outliers (${outliers.count})`,
    "Images unlike all others: blank, damaged, of another camera or kind. The number is robust standard deviations.",
    ...finds(outliers.rows, outliers.count, (row) =>
      find(row.src, place(row), strong(row.kind), make("span", { class: "soft" }, ` ${row.deviations.toFixed(1)}`)),
    ),
  );

function coverageCard(one) {
  const times = one.usual_distance ? one.median_distance / one.usual_distance : 1;
  return card(
    `${one.split} that ${one.by} does not cover (${one.count})`,
    `${one.count} of ${plural(one.images, "image")} of ${one.split} lie farther (over ${one.threshold.toFixed(2)}) from all of ${one.by} than ${one.by} from itself, in ${plural(one.regions, "region")}. ` +
      `The median distance to the nearest one is ${times.toFixed(2)} times that within ${one.by}.`,
    ...finds(one.not_covered, one.count, (row) =>
      find(row.src, place(row), make("span", {}, "distance ", strong(row.distance.toFixed(2))), make("span", { class: "soft" }, ` region ${row.region + 1}`)),
    ),
  );
}

function start() {
  const redraw = () => redraws.forEach((one) => one());
  const filter = make("input", {
    type: "search",
    id: "filter",
    placeholder: "part of a name or class",
    oninput: (event) => {
      state.text = event.target.value.trim().toLowerCase();
      redraw();
    },
  });
  const splits = DATA.splits.map((one) => `${one.name} ${plural(one.images, "image")}`).join(", ");
  const notes = [...DATA.notes, ...(DATA.unread ? [`${plural(DATA.unread, "picture")} could not be read`] : [])];
  document
    .getElementById("page")
    .append(
      make("h1", {}, "Audit of a data set"),
      make("p", { class: "soft" }, `${splits}; tokens of ${DATA.backbone} on ${DATA.canvas}`),
      make("div", { class: "bar", role: "search" }, make("label", {}, "Filter", filter)),
      ...(notes.length ? [card("Notes", "", make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, note))))] : []),
      mapCard(DATA.map),
      copyCard(DATA.copies),
      ...DATA.labels.flatMap(labelCards),
      outlierCard(DATA.outliers),
      ...DATA.coverage.map(coverageCard),
      make("footer", { class: "soft" }, `Written by arena data audit, argus-perception ${DATA.version}.`),
    );
  redraw();
}

start();
