// Which entries can be told apart: a table of pairs, and in words.

function toldApart(ring) {
  const { known, better, notes } = ring.verdict;
  if (!notes.length) return "";
  const words = notes.length ? make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, note))) : null;
  const places = ring.entries.map((entry) => entry.place).filter((place) => ring.entries[place].interval);
  if (!known || places.length < 2) return card("Intervals", "", words);
  const signs = {
    1: ["better", "+", "is shown to be better than"],
    "-1": ["worse", "−", "is shown to be worse than"],
    0: ["alike", "·", "cannot be told apart from"],
  };
  const cell = (a, b) => {
    if (a === b) return make("td", { class: "self" }, "");
    const [kind, sign, words] = signs[better[a][b]];
    const text = `${ring.entries[a].label} ${words} ${ring.entries[b].label}`;
    return make("td", { class: kind, title: text, "aria-label": text }, sign);
  };
  const heads = places.map((place) =>
    make("th", { scope: "col", title: ring.entries[place].label }, dot(place), String(place + 1)),
  );
  const rows = places.map((a) => {
    const entry = ring.entries[a];
    const row = make(
      "tr",
      { "data-label": entry.label },
      make("th", { scope: "row" }, dot(a), `${a + 1} ${entry.label}`),
      ...places.map((b) => cell(a, b)),
    );
    redraws.push(() => {
      row.hidden = !matches(entry);
    });
    return row;
  });
  const caption = "Each row against each column: + shown to be better, − shown to be worse, · cannot be told apart.";
  const table = make(
    "table",
    { class: "fit pairs" },
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, make("td", {}), ...heads)),
    make("tbody", {}, ...rows),
  );
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
  return card("What can be told apart", "", scroll, words);
}
