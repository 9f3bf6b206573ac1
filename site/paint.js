// The arithmetic of the page, without the page: masks, and from predicted patches to pixels.
export const SIZE = 32, PATCH = 4, GRID = SIZE / PATCH, PATCHES = GRID * GRID;

// Hidden patches, as a Set of positions: `count` of all, at random.
export function randomMask(count, random = Math.random) {
  const order = [...Array(PATCHES).keys()].map((i) => [random(), i]).sort((a, b) => a[0] - b[0]);
  return new Set(order.slice(0, count).map(([, i]) => i));
}

// What the model wants to know of a mask: the visible positions, and for each position its place in the shuffled order.
export function order(hidden) {
  const keep = [], rest = [];
  for (let i = 0; i < PATCHES; i++) (hidden.has(i) ? rest : keep).push(i);
  const restore = new Array(PATCHES);
  [...keep, ...rest].forEach((position, place) => (restore[position] = place));
  return { keep, restore };
}

// Index in the pixels (row by row, three colours) of number k of patch i.
function at(i, k) {
  const row = Math.floor(i / GRID) * PATCH + Math.floor(k / (3 * PATCH));
  const column = (i % GRID) * PATCH + (Math.floor(k / 3) % PATCH);
  return (row * SIZE + column) * 3 + (k % 3);
}

// Pixels with hidden patches replaced by predictions; mean and spread of each hidden patch are given, as in the notebook.
// Also the mean squared error on hidden patches, in units of the loss.
export function paint(pixels, patches, hidden) {
  const painted = Float32Array.from(pixels), length = 3 * PATCH * PATCH;
  let error = 0;
  for (const i of hidden) {
    const values = Array.from({ length }, (_, k) => (pixels[at(i, k)] - 120) / 64);
    const mean = values.reduce((a, b) => a + b) / length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (length - 1);
    const spread = Math.sqrt(variance + 1e-6);
    for (let k = 0; k < length; k++) {
      const predicted = patches[i * length + k];
      painted[at(i, k)] = (predicted * spread + mean) * 64 + 120;
      error += ((values[k] - mean) / spread - predicted) ** 2 / length / hidden.size;
    }
  }
  return { painted, error };
}
