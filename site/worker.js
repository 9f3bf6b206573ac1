// Runs the model away from the page, so that the page stays quick.
import * as ort from "./ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
const sessions = {};

// {id, model, pixels: Float32Array of 32*32*3, keep: visible positions, restore: place of each in the shuffled order}
self.onmessage = async ({ data: { id, model, pixels, keep, restore } }) => {
  try {
    sessions[model] ??= ort.InferenceSession.create(new URL(`./models/${model}.onnx`, import.meta.url).href);
    const session = await sessions[model];
    const start = performance.now();
    const results = await session.run({
      images: new ort.Tensor("float32", pixels, [1, 32, 32, 3]),
      ids_keep: new ort.Tensor("int32", Int32Array.from(keep), [1, keep.length]),
      ids_restore: new ort.Tensor("int32", Int32Array.from(restore), [1, restore.length]),
    });
    const patches = Object.values(results)[0].data;
    self.postMessage({ id, patches, milliseconds: performance.now() - start });
  } catch (error) {
    delete sessions[model];
    self.postMessage({ id, error: String(error) });
  }
};
