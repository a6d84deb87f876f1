/* Paths between two latents. */

export type PathMode = "linear" | "spherical";

// Below this sine of their angle two latents are parallel or opposite: no single great circle.
const MIN_SINE = 1e-6;
const MIN_LENGTHS = 1e-12;

/* `steps` latents one after another from `a` to `b` (each (D,)), both included. "spherical" keeps the distance to the origin:
   Shoemake 1985, "Animating rotation with quaternion curves". Throws an Error for fewer than two steps. */
export function path(a: ArrayLike<number>, b: ArrayLike<number>, steps: number, mode: PathMode): Float32Array {
  if (!Number.isInteger(steps) || steps < 2) throw new Error(`a path needs at least 2 steps, not ${steps}`);
  if (mode !== "linear" && mode !== "spherical") {
    throw new Error(`mode '${mode}' is neither 'linear' nor 'spherical'`);
  }
  const weights = mode === "spherical" ? arcWeights(a, b) : lineWeights;
  const points = new Float32Array(steps * a.length);
  for (let step = 0; step < steps; step++) {
    const [first, second] = weights(step / (steps - 1));
    for (let i = 0; i < a.length; i++) points[step * a.length + i] = first * a[i]! + second * b[i]!;
  }
  return points;
}

/* How much of both ends is in the point at `t`, from 0 to 1. */
type Weights = (t: number) => readonly [number, number];

const lineWeights: Weights = (t) => [1 - t, t];

function arcWeights(a: ArrayLike<number>, b: ArrayLike<number>): Weights {
  const lengths = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  const cosine = dot(a, b) / Math.max(lengths, MIN_LENGTHS);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (sine < MIN_SINE) return lineWeights;
  return (t) => [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
