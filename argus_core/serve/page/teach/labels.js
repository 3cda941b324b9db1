// The photographs and their marks as a data set that `argus teach` and `arena train` read.

/** Files by name: the photographs, and their clicks, or boxes in COCO's form. */
export function labelFiles(lesson) {
  const entries = named(lesson.entriesMarked);
  const [name, content] = lesson.task === "segment" ? clicks(lesson, entries) : boxes(lesson, entries);
  const text = new Blob([`${JSON.stringify(content, null, 1)}\n`]);
  return new Map([...entries.map(([file, { blob }]) => [file, blob]), [name, text]]);
}

/** Each photograph with a name of its own, without characters that file systems refuse. */
function named(entries) {
  const used = new Set();
  return entries.map((entry) => {
    const [, stem, end] = /^(.*?)(\.\w+)?$/s.exec(entry.name.replace(/[^\w.-]+/g, "_"));
    const ends = end ?? { "image/png": ".png", "image/webp": ".webp" }[entry.blob.type] ?? ".jpg";
    let name = `${stem || "photograph"}${ends}`;
    for (let number = 2; used.has(name.toLowerCase()); number++) name = `${stem}-${number}${ends}`;
    used.add(name.toLowerCase());
    return [name, entry];
  });
}

const rounded = (number) => Math.round(100 * number) / 100;

const usedBy = (lesson) => lesson.choices.filter((one) => lesson.count(one));

function clicks(lesson, entries) {
  const rows = entries.flatMap(([image, entry]) =>
    lesson.marksOf(entry).map(({ of, at: [x, y] }) => ({ image, x: rounded(x), y: rounded(y), label: of.name.trim() })),
  );
  return ["clicks.json", { classes: usedBy(lesson).map(({ name }) => name.trim()), clicks: rows }];
}

function boxes(lesson, entries) {
  const used = usedBy(lesson);
  const annotations = entries.flatMap(([, entry], place) =>
    lesson.marksOf(entry).map(({ of, at: [x1, y1, x2, y2] }) => ({
      image_id: place + 1,
      category_id: used.indexOf(of) + 1,
      bbox: [x1, y1, x2 - x1, y2 - y1].map(rounded),
      area: rounded((x2 - x1) * (y2 - y1)),
      iscrowd: 0,
    })),
  );
  const images = entries.map(([name, { width, height }], place) => ({ id: place + 1, file_name: name, width, height }));
  return [
    "_annotations.coco.json",
    {
      images,
      annotations: annotations.map((entry, place) => ({ id: place + 1, ...entry })),
      categories: used.map(({ name }, place) => ({ id: place + 1, name: name.trim() })),
    },
  ];
}
