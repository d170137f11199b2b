/** Pictures in boxes of one shape: cropped where little is lost, whole where more would be. */

const NARROW = 1.15;
const WIDE = 1.9;

/**
 * The picture, which is shown whole if it is much narrower or wider than its box (4 to 3).
 * @param {HTMLImageElement} image
 */
export function fitted(image) {
  image.addEventListener("load", () => {
    const ratio = image.naturalWidth / image.naturalHeight;
    image.classList.toggle("whole", ratio < NARROW || ratio > WIDE);
  });
  return image;
}
