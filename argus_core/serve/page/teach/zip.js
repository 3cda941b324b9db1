// Several files in one, as a ZIP archive without compression: photographs are compressed already.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** Numbers as bytes, low byte first: pairs of a number and how many bytes it takes. */
const packed = (...pairs) => Uint8Array.from(pairs.flatMap(([value, size]) => Array.from({ length: size }, (_, n) => (value / 256 ** n) & 255)));

const UTF8 = 0x800; // names are UTF-8
const DAY = (1 << 5) | 1; // the first one that the format knows

/** A blob with the `files`, a Map from names to blobs, of less than 4 GiB together. */
export async function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, blob] of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const letters = new TextEncoder().encode(name);
    const about = [[20, 2], [UTF8, 2], [0, 2], [0, 2], [DAY, 2], [crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4], [letters.length, 2], [0, 2]];
    parts.push(packed([0x04034b50, 4], ...about), letters, bytes);
    directory.push(packed([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), letters);
    offset += 30 + letters.length + bytes.length;
  }
  const size = directory.reduce((total, { length }) => total + length, 0);
  const end = packed([0x06054b50, 4], [0, 4], [files.size, 2], [files.size, 2], [size, 4], [offset, 4], [0, 2]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
