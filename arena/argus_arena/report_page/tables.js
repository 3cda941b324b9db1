// Tables that a click on a heading sorts.

// A column is {key, title, value(entry), show(entry) -> node or text, text, falling, kind}.
function sortable(caption, columns, entries, options = {}) {
  const body = make("tbody");
  const rows = entries.map((entry) => {
    const cells = columns.map((column, n) => {
      const shown = column.show(entry);
      const attributes = { class: [column.text ? "text" : "", column.kind || ""].join(" ").trim() || null };
      const share = column.share ? column.share(entry) : null;
      if (share !== null) Object.assign(attributes, { class: "heat", "--share": share.toFixed(3) });
      if (column.heading) return make("th", { scope: "row", title: entry.options || null }, ...shown);
      return make("td", attributes, ...(Array.isArray(shown) ? shown : [shown]));
    });
    return make("tr", { "data-label": entry.label }, ...cells);
  });
  body.append(...rows);
  const heads = columns.map((column) =>
    make(
      "th",
      { scope: "col", class: column.text ? "text" : null, "aria-sort": "none" },
      make("button", { type: "button", "data-key": column.key, onclick: () => sort(column) }, column.title),
    ),
  );
  function sort(column, direction) {
    const head = heads[columns.indexOf(column)];
    const first = column.falling ? "descending" : "ascending";
    const turned = { ascending: "descending", descending: "ascending" }[head.getAttribute("aria-sort")];
    const now = direction || turned || first;
    const sign = now === "ascending" ? 1 : -1;
    const order = entries
      .map((entry, place) => [column.value(entry), place])
      .sort(([a, n], [b, m]) => {
        if (a === null || b === null) return (a === null) - (b === null) || n - m;
        const less = typeof a === "string" ? a.localeCompare(b) : a - b;
        return sign * less || n - m;
      });
    for (const one of heads) one.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", now);
    body.append(...order.map(([, place]) => rows[place]));
  }
  if (options.sorted)
    sort(
      columns.find((column) => column.key === options.sorted),
      "ascending",
    );
  redraws.push(() =>
    rows.forEach((row, place) => {
      row.hidden = !matches(entries[place]);
    }),
  );
  const table = make(
    "table",
    { class: options.fit ? "fit" : null },
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...heads)),
    body,
  );
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
}

const nameColumn = {
  key: "name",
  title: "head",
  text: true,
  heading: true,
  value: (entry) => entry.label,
  show: (entry) => [dot(entry.place), entry.label],
};

function scoreColumn(key, falling, extra = {}) {
  return {
    key,
    title: extra.title || key,
    falling,
    value: (entry) => (entry.scores[key] || [null])[0],
    show: (entry) => {
      const [mean, deviation] = entry.scores[key] || [null, null];
      if (mean === null || deviation === null) return score([mean, null]);
      return [mean.toFixed(3), make("span", { class: "dev" }, `±${deviation.toFixed(3)}`)];
    },
    ...extra,
  };
}

// The score that ranks, with its interval where there is one.
function mainColumn(ring) {
  const column = scoreColumn(ring.primary, ring.higher, { kind: "main" });
  const show = (entry) => {
    if (!entry.interval) return column.show(entry);
    const [low, high] = entry.interval.map((end) => end.toFixed(3));
    return [entry.scores[ring.primary][0].toFixed(3), make("span", { class: "dev" }, ` [${low}, ${high}]`)];
  };
  return { ...column, show };
}

function leaderboard(ring) {
  const costs = Object.keys(COSTS).filter((key) => ring.entries.some((entry) => entry.costs[key] !== null));
  const several = ring.entries.some((entry) => entry.seeds.length > 1);
  const columns = [
    {
      key: "rank",
      title: "rank",
      value: (entry) => entry.place,
      show: (entry) => (entry.rank === null ? "–" : String(entry.rank)),
    },
    nameColumn,
    { key: "head", title: "kind", text: true, value: (entry) => entry.head, show: (entry) => entry.head },
    several && { key: "seeds", title: "seeds", value: (e) => e.seeds.length, show: (e) => String(e.seeds.length) },
    ...costs.map((key) => ({
      key,
      title: COSTS[key][0],
      value: (entry) => entry.costs[key],
      show: (entry) => cost(key, entry.costs[key]),
    })),
    ...ring.shown.map((key) => (key === ring.primary ? mainColumn(ring) : scoreColumn(key, ring.higher))),
  ].filter(Boolean);
  const caption =
    `Ranked by ${ring.primary}, ${ring.higher ? "higher" : "lower"} is better` +
    (several ? "; mean ± standard deviation over seeds" : "") +
    (ring.verdict.known ? "; [95 % interval]. Entries of equal rank cannot be told apart." : ".");
  const notes = [
    ...ring.floor,
    ...ring.entries.flatMap((entry) => entry.notes.map((note) => `${entry.label}: ${note}`)),
  ];
  return card(
    "Leaderboard",
    "",
    sortable(caption, columns, ring.entries, { sorted: "rank" }),
    notes.length ? make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, note))) : null,
  );
}

function heatmap(ring, group) {
  const values = ring.entries
    .flatMap((e) => group.keys.map((key) => (e.scores[key] || [null])[0]))
    .filter((v) => v !== null);
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const columns = [
    nameColumn,
    ...group.keys.map((key) => {
      const share = (entry) => {
        const value = (entry.scores[key] || [null])[0];
        return value === null || high <= low ? null : (value - low) / (high - low);
      };
      return scoreColumn(key, ring.higher, {
        title: key.split("/").slice(1).join("/") || key,
        ...(group.shaded ? { share } : {}),
      });
    }),
  ];
  const caption = group.shaded
    ? "Deeper colour is a larger value; one scale for the table."
    : "Scores that the leaderboard leaves out.";
  return card(group.title, "", sortable(caption, columns, ring.entries, { fit: true }));
}
