// Pictures of predictions and of disagreements.

const zoom = document.getElementById("zoom");
zoom.addEventListener("click", () => zoom.close());

function shot(tile, entries) {
  const entry = entries.find((one) => one.label === tile.title);
  const text = tile.note ? `${tile.title}: ${tile.note}` : tile.title;
  const open = () => {
    zoom.replaceChildren(make("img", { src: tile.src, alt: text }), make("p", { class: "soft" }, text));
    zoom.showModal();
  };
  const button = make(
    "button",
    { type: "button", "aria-label": `Enlarge ${text}`, onclick: open },
    make("img", { src: tile.src, alt: text }),
  );
  return make(
    "figure",
    { class: "shot", "data-label": entry ? entry.label : null },
    button,
    make(
      "figcaption",
      {},
      entry ? dot(entry.place) : null,
      make("strong", {}, tile.title),
      tile.note ? ` ${tile.note}` : null,
    ),
  );
}

function strips(rows, entries) {
  return rows.map((row) =>
    make(
      "div",
      { class: "row" },
      make(
        "p",
        {},
        row.key,
        row.value === undefined ? null : make("span", { class: "soft" }, ` · disagreement ${row.value.toFixed(2)}`),
      ),
      make("div", { class: "shots" }, ...row.tiles.map((tile) => shot(tile, entries))),
    ),
  );
}

function pictureCards(ring) {
  const { note, predictions, disagreements } = ring.pictures;
  const found = predictions.length
    ? card(
        "Predictions against the truth",
        ring.task === "detect"
          ? `Boxes that score at least ${DATA.threshold}; found means the right class at an IoU of at least 0.5. Select a picture to enlarge it.`
          : "Select a picture to enlarge it.",
        ...strips(predictions, ring.entries),
      )
    : null;
  const differ =
    disagreements && disagreements.pairs.length
      ? card(
          "Where heads disagree",
          `1 − F1 of one head's boxes against the other's (score at least ${DATA.threshold}, same class, IoU at least 0.5), over ${plural(disagreements.images, "image")}. ` +
            "Named boxes are those that one head alone found; grey ones both found.",
          pairTable(disagreements.pairs),
          ...(disagreements.rows.length
            ? strips(disagreements.rows, ring.entries)
            : [make("p", {}, "No two heads differ on any of these images.")]),
        )
      : null;
  return [note ? make("p", { class: "card soft", "data-note": "" }, `Pictures: ${note}.`) : null, found, differ].filter(
    Boolean,
  );
}

function pairTable(pairs) {
  const names = [...new Set(pairs.flatMap(([one, other]) => [one, other]))];
  const mean = (a, b) =>
    pairs.find(([one, other]) => (one === a && other === b) || (one === b && other === a))?.[2] ?? null;
  const head = make(
    "tr",
    {},
    make("th", { class: "plain" }),
    ...names.map((name) => make("th", { scope: "col", class: "plain" }, name)),
  );
  const body = names.map((row) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, row),
      ...names.map((column) => {
        const value = row === column ? null : mean(row, column);
        return make(
          "td",
          value === null ? {} : { class: "heat", "--share": value.toFixed(3) },
          value === null ? "–" : value.toFixed(2),
        );
      }),
    ),
  );
  return make(
    "div",
    { class: "scroll" },
    make(
      "table",
      { class: "fit" },
      make("caption", {}, "Mean disagreement of two heads"),
      make("thead", {}, head),
      make("tbody", {}, ...body),
    ),
  );
}
