/** How colourful pictures are: those that are make a better first sight. */

const SIDE = 16;

/**
 * The items, the most colourful pictures first.
 * @template {{thumbnail?: string|null}} T
 * @param {T[]} items
 * @returns {Promise<T[]>}
 */
export async function mostColourful(items) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rated = await Promise.all(
    items.map(async (one) => ({ one, rate: await colourfulness(one.thumbnail ?? "", context) })),
  );
  return rated.sort((a, b) => b.rate - a.rate).map(({ one }) => one);
}

/** The mean difference of a pixel's channels. @param {string} address @param {CanvasRenderingContext2D|null} context */
async function colourfulness(address, context) {
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    return -1;
  }
  if (!context) return 0;
  context.drawImage(image, 0, 0, SIDE, SIDE);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4)
    sum += Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]);
  return sum / (SIDE * SIDE);
}
