// The page where you play: choose an image, hide patches, and see what the model paints.
import { GRID, PATCHES, SIZE, order, paint, randomMask } from "./paint.js";

const $ = (id) => document.getElementById(id);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
let pixels = null, hidden = randomMask(48), asked = 0, busy = false, again = false;

// A canvas shows pixels 0-255, hidden patches left grey if `without` names them.
function show(canvas, values, without = new Set()) {
  const image = new ImageData(SIZE, SIZE);
  for (let p = 0; p < SIZE * SIZE; p++) {
    const patch = Math.floor(p / SIZE / 4) * GRID + Math.floor((p % SIZE) / 4);
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = without.has(patch) ? 128 : Math.round(values[3 * p + c]);
    image.data[4 * p + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function say(text) {
  $("status").textContent = text;
}

// Draw what is there, and ask the worker for the rest; while it works the newest wish waits.
function update() {
  if (!pixels) return;
  show($("true"), pixels);
  show($("seen"), pixels, hidden);
  $("ratio").value = hidden.size;
  $("ratio-text").textContent = `${hidden.size} of ${PATCHES} patches hidden`;
  cells.forEach((cell, i) => cell.setAttribute("aria-pressed", hidden.has(i)));
  if (hidden.size === 0 || hidden.size === PATCHES) {
    again = false;
    asked++; // an answer that is still on its way is late
    show($("painted"), hidden.size ? new Float32Array(pixels.length).fill(128) : pixels);
    return say(hidden.size ? "Everything is hidden: leave the model at least one patch." : "Nothing is hidden: hide at least one patch, and the model paints it.");
  }
  if (busy) return (again = true);
  busy = true;
  worker.postMessage({ id: ++asked, model: $("model").value, pixels: Float32Array.from(pixels), ...order(hidden) });
}

worker.onmessage = ({ data: { id, patches, error, milliseconds } }) => {
  busy = false;
  if (again) {
    again = false;
    return update();
  }
  if (id !== asked) return;
  if (error) return say(`The model could not be run (${error}): load the page again.`);
  const result = paint(pixels, patches, hidden);
  show($("painted"), result.painted);
  document.body.dataset.painted = JSON.stringify(Array.from(result.painted, (v) => Math.round(Math.min(255, Math.max(0, v)))));
  document.body.dataset.milliseconds = milliseconds;
  say(`Error on hidden patches: ${result.error.toFixed(2)} (always answering grey: about 1). Drawn in ${milliseconds.toFixed(0)} ms.`);
};
worker.onerror = () => say("The model could not be loaded: serve this folder with a web server, such as python -m http.server.");

// One image of the page's picture of twenty, or the user's own, cropped to a square.
async function load(source, index = null) {
  const bitmap = await createImageBitmap(source);
  const side = index === null ? Math.min(bitmap.width, bitmap.height) : SIZE;
  const left = index === null ? (bitmap.width - side) / 2 : index * SIZE, top = index === null ? (bitmap.height - side) / 2 : 0;
  const canvas = new OffscreenCanvas(SIZE, SIZE), context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, side, side, 0, 0, SIZE, SIZE);
  const { data } = context.getImageData(0, 0, SIZE, SIZE);
  pixels = Float32Array.from({ length: SIZE * SIZE * 3 }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]);
  update();
}

// The grid: buttons, so that a keyboard works, too; pressing and moving hides or shows many.
let brush = null;
const cells = Array.from({ length: PATCHES }, (_, i) => {
  const cell = document.createElement("button");
  cell.type = "button";
  cell.tabIndex = i ? -1 : 0;
  cell.setAttribute("aria-label", `patch in row ${Math.floor(i / GRID) + 1}, column ${(i % GRID) + 1}, hidden`);
  $("grid").append(cell);
  return cell;
});
function brushAt(x, y) {
  const i = cells.indexOf(document.elementFromPoint(x, y));
  if (i < 0) return;
  brush ??= !hidden.has(i);
  if (hidden.has(i) === brush) return;
  brush ? hidden.add(i) : hidden.delete(i);
  update();
}
$("grid").addEventListener("pointerdown", (event) => {
  event.preventDefault();
  brush = null;
  $("grid").setPointerCapture(event.pointerId);
  brushAt(event.clientX, event.clientY);
});
$("grid").addEventListener("pointermove", (event) => event.buttons && brushAt(event.clientX, event.clientY));
$("grid").addEventListener("keydown", (event) => {
  const i = cells.indexOf(document.activeElement);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -GRID, ArrowDown: GRID }[event.key];
  if (step && cells[i + step]) {
    cells[i].tabIndex = -1;
    cells[i + step].tabIndex = 0;
    cells[i + step].focus();
    event.preventDefault();
  } else if (event.key === " " || event.key === "Enter") {
    hidden.has(i) ? hidden.delete(i) : hidden.add(i);
    update();
    event.preventDefault();
  }
});
$("ratio").addEventListener("input", () => ((hidden = randomMask(Number($("ratio").value))), update()));
$("new").addEventListener("click", () => ((hidden = randomMask(Number($("ratio").value))), update()));
$("model").addEventListener("change", update);

const picture = await (await fetch("images.png")).blob();
const choices = await (await fetch("images.json")).json();
choices.forEach((name, i) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "choice";
  button.style.backgroundPosition = `${-i * 48}px 0`;
  button.setAttribute("aria-label", name);
  button.addEventListener("click", () => load(picture, i));
  $("choices").append(button);
});
$("own").addEventListener("change", async () => {
  const [file] = $("own").files;
  if (!file) return;
  try {
    await load(file);
  } catch {
    say(`${file.name} could not be read as a picture: choose a PNG or JPEG file.`);
  }
});
load(picture, 0);
