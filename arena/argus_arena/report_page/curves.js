// Loss and score over the epochs.

const splitsOf = (curves) => [...new Set(curves.map((one) => one.split).filter(Boolean))].join(" and ");

function curveCards(ring) {
  if (!ring.curves.length) return null;
  const off = new Set();
  const counts = new Map();
  const curves = ring.curves.map((one) => {
    const entry = ring.entries[one.entry];
    counts.set(entry, (counts.get(entry) ?? -1) + 1);
    return { ...one, entry, place: counts.get(entry) };
  });
  const entries = [...counts.keys()];
  const places = { loss: make("div", { "data-chart": "loss" }), score: make("div", { "data-chart": "score" }) };
  const buttons = entries.map((entry) =>
    make(
      "button",
      {
        type: "button",
        "aria-pressed": "true",
        "data-label": entry.label,
        onclick: (event) => {
          const hide = !off.delete(entry);
          if (hide) off.add(entry);
          event.currentTarget.setAttribute("aria-pressed", String(!hide));
          draw();
        },
      },
      dot(entry.place),
      entry.label,
    ),
  );
  function draw() {
    buttons.forEach((button, place) => {
      button.hidden = !matches(entries[place]);
    });
    const series = (key) =>
      curves.filter((one) => matches(one.entry) && !off.has(one.entry)).map((one) => ({ ...one, points: one[key] }));
    places.loss.replaceChildren(lines("Loss over epochs", "loss", series("loss"), true));
    const shown = series("score");
    const title = [ring.primary, splitsOf(shown)].filter(Boolean).join(" on ");
    places.score.replaceChildren(lines(`${title} over epochs`, title, shown, false));
  }
  redraws.push(draw);
  const splits = splitsOf(ring.curves);
  const scored = splits
    ? `Scores during training are of ${splits}, on which weights are chosen.`
    : "Nothing was scored during training.";
  const seeds = ring.entries.some((entry) => entry.seeds.length > 1) ? " Further seeds are paler." : "";
  return card(
    "Training",
    `Losses of different kinds of head are different sums: compare their course, not their height. ${scored}${seeds}`,
    make("div", { class: "legend", role: "group", "aria-label": "Heads shown" }, ...buttons),
    make("div", { class: "two" }, places.loss, places.score),
  );
}
