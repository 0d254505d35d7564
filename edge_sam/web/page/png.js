// A mask as a PNG of one bit a pixel, without a canvas: exact, small, and of any size.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * @param {Uint8Array} mask (height, width), 0 or 1
 * @param {[number, number]} size
 * @returns {Promise<Blob>} white where the mask is, black elsewhere
 */
export async function maskAsPng(mask, [height, width]) {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 1); // one bit, grey, nothing special in the bytes after it
  const parts = [
    Uint8Array.from(SIGNATURE),
    ...chunk("IHDR", new Uint8Array(header.buffer)),
    ...chunk("IDAT", await deflated(packedRows(mask, height, width))),
    ...chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts, { type: "image/png" });
}

/** Return eight pixels a byte, each row behind the byte that names its filter: none. */
function packedRows(mask, height, width) {
  const line = 1 + Math.ceil(width / 8);
  const rows = new Uint8Array(height * line);
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place++) {
      if (mask[place]) rows[y * line + 1 + (x >> 3)] |= 128 >> (x & 7);
    }
  }
  return rows;
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(name, content) {
  const named = new Uint8Array(4 + content.length);
  named.set([...name].map((letter) => letter.charCodeAt(0)));
  named.set(content, 4);
  let crc = 0xffffffff;
  for (const byte of named) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return [bigEndian(content.length), named, bigEndian(~crc >>> 0)];
}

function bigEndian(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}
