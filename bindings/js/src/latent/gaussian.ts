/* Densities of Gaussians and of mixtures of them. */

import type { Component, Covariance } from "../bundle/records.js";

/* The log density of a mixture at a point (D,). */
export function logMixture(components: readonly Component[], point: readonly number[]): number {
  const parts = components.map(
    ({ weight, mean, cov }) => Math.log(weight) + logGaussian(point, mean, cov),
  );
  return logSumExp(parts);
}

/* log N(point; mean, cov). */
export function logGaussian(point: readonly number[], mean: readonly number[], cov: Covariance): number {
  const offset = point.map((value, i) => value - mean[i]!);
  const { squares, logRoot } = isDiagonal(cov) ? diagonal(offset, cov) : full(offset, cov);
  return -0.5 * (squares + point.length * Math.log(2 * Math.PI)) - logRoot;
}

export function logSumExp(values: readonly number[]): number {
  const highest = Math.max(...values);
  if (highest === -Infinity) return highest;
  return highest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - highest), 0));
}

/* The squared distance in standard deviations, and half the log determinant. */
interface Distance {
  readonly squares: number;
  readonly logRoot: number;
}

function isDiagonal(cov: Covariance): cov is readonly number[] {
  return typeof cov[0] === "number";
}

function diagonal(offset: readonly number[], variances: readonly number[]): Distance {
  let [squares, logRoot] = [0, 0];
  offset.forEach((value, i) => {
    squares += value ** 2 / variances[i]!;
    logRoot += 0.5 * Math.log(variances[i]!);
  });
  return { squares, logRoot };
}

/* By the lower triangle L with L L^T = cov, row by row. */
function full(offset: readonly number[], cov: readonly (readonly number[])[]): Distance {
  const root: number[][] = [];
  const standardized: number[] = [];
  let [squares, logRoot] = [0, 0];
  cov.forEach((row, i) => {
    const current: number[] = [];
    for (let j = 0; j < i; j++) current.push((row[j]! - dot(current, root[j]!, j)) / root[j]![j]!);
    const rest = row[i]! - dot(current, current, i);
    if (!(rest > 0)) throw new Error("a covariance of the bundle is not positive definite; export it again");
    current.push(Math.sqrt(rest));
    root.push(current);
    standardized.push((offset[i]! - dot(current, standardized, i)) / current[i]!);
    squares += standardized[i]! ** 2;
    logRoot += Math.log(current[i]!);
  });
  return { squares, logRoot };
}

/* The sum over the first `count` products. */
function dot(a: readonly number[], b: readonly number[], count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[i]! * b[i]!;
  return sum;
}
