// The page as a whole: a section per ranking, and the two filters.

const ringTitle = (ring) => `${ring.protocol}, ${ring.data}`;

function ringSection(ring, place) {
  ring.entries.forEach((entry, n) => {
    entry.place = n;
  });
  const section = make(
    "section",
    { "data-ring": place, "aria-label": ringTitle(ring) },
    make("h2", {}, `${ring.task}: ${ring.protocol}`),
    make(
      "p",
      { class: "soft" },
      `${ring.data}; ${entriesOf(ring.entries.length)} scored on ${plural(ring.images, "image")}; annotations ${ring.sha256}`,
    ),
    leaderboard(ring),
    toldApart(ring),
    scores(ring),
    curveCards(ring) || "",
    ...pictureCards(ring),
  );
  redraws.push(() => {
    section.hidden = state.ring !== "" && state.ring !== String(place);
  });
  return section;
}

function scores(ring) {
  const cards = ring.groups.map((group) => [group.keys.length, heatmap(ring, group)]);
  const beside = cards.filter(([keys]) => keys <= 3).slice(0, 2);
  const below = cards.filter((one) => !beside.includes(one));
  const narrow = below.length > 1 && below.every(([keys]) => keys <= 6);
  const nodes = (held) => held.map(([, node]) => node);
  return make(
    "div",
    {},
    make("div", { class: "two" }, scatter(ring), beside.length ? make("div", {}, ...nodes(beside)) : ""),
    make("div", { class: narrow ? "two" : null }, ...nodes(below)),
  );
}

function start() {
  const redraw = () => redraws.forEach((one) => one());
  const filter = make("input", {
    type: "search",
    id: "filter",
    placeholder: "part of a name",
    oninput: (event) => {
      state.text = event.target.value.trim().toLowerCase();
      redraw();
    },
  });
  const choose = make(
    "select",
    {
      id: "ring",
      onchange: (event) => {
        state.ring = event.target.value;
        redraw();
      },
    },
    make("option", { value: "" }, "all rankings"),
    ...DATA.rings.map((ring, place) => make("option", { value: place }, ringTitle(ring))),
  );
  const entries = DATA.rings.reduce((sum, ring) => sum + ring.entries.length, 0);
  document
    .getElementById("page")
    .append(
      make("h1", {}, DATA.title),
      make(
        "p",
        { class: "soft" },
        `${entriesOf(entries)} in ${plural(DATA.rings.length, "ranking")}; entries are ranked together only if the rules and the scored data are the same.`,
      ),
      make(
        "div",
        { class: "bar", role: "search" },
        make("label", {}, "Heads", filter),
        make("label", {}, "Ranking", choose),
      ),
      DATA.failures.length
        ? make(
            "div",
            { class: "card" },
            make("h3", {}, "Failed"),
            make("ul", { class: "notes" }, ...DATA.failures.map((line) => make("li", {}, line))),
          )
        : "",
      ...DATA.rings.map(ringSection),
      make("footer", { class: "soft" }, `Written by arena report, argus-perception ${DATA.version}.`),
    );
  redraw();
}

start();
