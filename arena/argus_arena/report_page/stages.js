// The page of a distillation: a section per stage.

const asSeries = (curves) =>
  curves.map((curve, place) => ({ ...curve, entry: { label: curve.label, place }, place: 0, seed: null }));

const legend = (series) =>
  make("div", { class: "legend" }, ...series.map(({ entry }) => make("span", {}, dot(entry.place), ` ${entry.label} `)));

function chart(title, text, value, curves, log, unit) {
  if (!curves.some((curve) => curve.points.length)) return "";
  const series = asSeries(curves);
  return card(title, text, legend(series), lines(title, value, series, log, unit));
}

function scoreChart(score) {
  const steps = score.points.map((point) => point[0]);
  const ends = [0, Math.max(1, ...steps)];
  const teachers = Object.entries(score.teachers).map(([label, value]) => ({
    label,
    points: ends.map((at) => [at, value]),
  }));
  return chart(score.label, "", score.label, [{ label: "student", points: score.points }, ...teachers], false, "step");
}

function stageSection(stage) {
  return make(
    "section",
    { "aria-label": stage.name },
    make("h2", {}, stage.name),
    make("p", { class: "soft" }, `${stage.student} learnt from ${stage.teachers.join(", ")} in ${stage.steps} steps.`),
    make(
      "div",
      { class: "two" },
      chart("Losses", "Weighted, by teacher and kind of token.", "loss", stage.losses, true, "step"),
      chart(
        "Error against resolution",
        `One minus the cosine between what the student predicts and its teachers at their own sizes; trained at ${stage.sizes.join(", ")} px.`,
        "1 - cosine",
        stage.sweep,
        false,
        "px",
      ),
    ),
    make("div", { class: "two" }, ...stage.scores.map(scoreChart)),
    stage.pictures.length
      ? card(
          "Principal components",
          "The first three components of the patches of each picture as red, green and blue, ordered as in the first teacher's.",
          ...strips(stage.pictures, []),
        )
      : make("p", { class: "soft" }, stage.note),
  );
}

document
  .getElementById("page")
  .append(
    make("h1", {}, DATA.title),
    ...DATA.stages.map(stageSection),
    make("footer", { class: "soft" }, `Written by arena report, argus-perception ${DATA.version}.`),
  );
