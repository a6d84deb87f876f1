/* One graph of a bundle as a function on batches. Its session is built when it is first used. */

import { sizeOf, type NumberArray } from "./arrays.js";
import { readGraph } from "./bundle/reading.js";
import type { GraphFile } from "./bundle/records.js";
import type { Storage } from "./bundle/storage.js";
import { BundleError, reasonOf } from "./errors.js";
import type { Ort, OrtSession, OrtTensor, Place } from "./ort.js";

// Rows that are computed at once: more need more memory and are no faster.
const CHUNK_ROWS = 16;

/* An input or output: its name, the shape of one row, and the least and largest value that it may hold. */
export interface Port {
  readonly name: string;
  readonly shape: readonly number[];
  readonly range?: readonly [number, number];
}

export class Graph {
  private session: Promise<OrtSession> | undefined;

  constructor(
    private readonly ort: Ort,
    private readonly place: Place,
    private readonly storage: Storage,
    private readonly file: GraphFile,
    private readonly input: Port,
    private readonly outputs: readonly Port[],
  ) {}

  /* Rows (N, …) -> an array (N, …) of each output. Throws BundleError for a graph that isn't what the bundle says. */
  async run(rows: NumberArray): Promise<NumberArray[]> {
    this.session ??= this.built();
    const session = await this.session;
    const count = rows.shape[0]!;
    const results = this.outputs.map(({ shape }) => ({
      data: new Float32Array(count * sizeOf(shape)),
      shape: [count, ...shape],
    }));
    for (let start = 0; start < count; start += CHUNK_ROWS) {
      const chunk = Math.min(CHUNK_ROWS, count - start);
      const found = await this.computed(session, rows.data, start, chunk);
      found.forEach((data, i) => results[i]!.data.set(data, start * sizeOf(this.outputs[i]!.shape)));
    }
    return results;
  }

  async close(): Promise<void> {
    const session = this.session;
    this.session = undefined;
    await (await session)?.release();
  }

  private async computed(
    session: OrtSession,
    data: Float32Array,
    start: number,
    count: number,
  ): Promise<Float32Array[]> {
    const size = sizeOf(this.input.shape);
    const rows = data.subarray(start * size, (start + count) * size);
    const tensor = new this.ort.Tensor("float32", rows, [count, ...this.input.shape]);
    let found: Record<string, OrtTensor>;
    try {
      found = await session.run({ [this.input.name]: tensor });
    } catch (error) {
      throw new BundleError(`${this.where}: onnxruntime cannot run it: ${firstLine(error)}`);
    }
    return this.outputs.map((port) => this.checked(found[port.name], port, count));
  }

  private checked(tensor: OrtTensor | undefined, port: Port, count: number): Float32Array {
    const shape = [count, ...port.shape];
    const isRight =
      tensor?.data instanceof Float32Array &&
      tensor.dims.length === shape.length &&
      shape.every((size, i) => size === tensor.dims[i]);
    if (!isRight) {
      throw new BundleError(`${this.where}: its output '${port.name}' is no float32 (${shape.join(", ")})`);
    }
    const values = tensor.data as Float32Array;
    const [low, high] = port.range ?? [-Number.MAX_VALUE, Number.MAX_VALUE];
    // NaN compares false.
    if (!values.every((value) => value >= low && value <= high)) {
      throw new BundleError(`${this.where}: its output '${port.name}' holds NaN, or values out of range`);
    }
    return values;
  }

  private async built(): Promise<OrtSession> {
    const model = await readGraph(this.storage, this.file);
    let session: OrtSession;
    try {
      session = await this.ort.InferenceSession.create(model, {
        executionProviders: [this.place.backend],
        graphOptimizationLevel: "all",
        intraOpNumThreads: 1,
      });
    } catch (error) {
      throw new BundleError(`${this.where}: onnxruntime cannot load it: ${firstLine(error)}`);
    }
    this.requireNames(session);
    return session;
  }

  private requireNames(session: OrtSession): void {
    const outputs = this.outputs.map(({ name }) => name);
    const isRight =
      session.inputNames.join() === this.input.name &&
      [...session.outputNames].sort().join() === outputs.sort().join();
    if (isRight) return;
    const found = `${session.inputNames.join(", ")} -> ${session.outputNames.join(", ")}`;
    throw new BundleError(`${this.where}: it is ${found}, not ${this.input.name} -> ${outputs.join(", ")}`);
  }

  private get where(): string {
    return `${this.storage.name}: ${this.file.file}`;
  }
}

function firstLine(error: unknown): string {
  return reasonOf(error).split("\n")[0]!;
}
