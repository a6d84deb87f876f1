/* The continuous Bernoulli distribution of pixels in [0, 1], by its mean.

   Its density is exp(x η - A(η)) with A(η) = log((e^η - 1) / η), Loaiza-Ganem & Cunningham 2019, "The continuous
   Bernoulli: fixing a pervasive error in variational autoencoders". A decoder gives the mean μ = A'(η) =
   1 / (1 - e^-η) - 1 / η, and the density needs η. */

// Means beyond are taken for these.
const MIN_MEAN = 1e-7;
// Below it the formulas are differences of large numbers; what their series leave out there is less than 1e-12.
const SERIES_REACH = 1e-2;
// The first guess is off by up to 5 %, and Newton's method squares that.
const NEWTON_STEPS = 4;

/* log p(x) of a pixel under the distribution with this mean. */
export function logContinuousBernoulli(x: number, mean: number): number {
  const natural = naturalOf(mean);
  return x * natural - logNormalizer(natural);
}

/* η of a mean, by Newton's method from Cohen 1991, "A Padé approximant to the inverse Langevin function". */
function naturalOf(mean: number): number {
  const inside = Math.min(1 - MIN_MEAN, Math.max(MIN_MEAN, mean));
  const centered = 2 * inside - 1;
  let natural = (centered * (3 - centered ** 2)) / (2 * inside * (1 - inside));
  for (let step = 0; step < NEWTON_STEPS; step++) {
    natural -= (meanOf(natural) - inside) / varianceOf(natural);
  }
  return natural;
}

/* A'(η). */
function meanOf(natural: number): number {
  if (Math.abs(natural) < SERIES_REACH) return 0.5 + natural / 12 - natural ** 3 / 720;
  const decay = Math.exp(-Math.abs(natural));
  // 1 / (1 - e^-η) is e^η / (e^η - 1), whose powers don't overflow below zero.
  return (natural > 0 ? 1 : -decay) / (1 - decay) - 1 / natural;
}

/* A''(η). */
function varianceOf(natural: number): number {
  if (Math.abs(natural) < SERIES_REACH) return 1 / 12 - natural ** 2 / 240;
  const decay = Math.exp(-Math.abs(natural));
  return 1 / natural ** 2 - decay / (1 - decay) ** 2;
}

/* A(η). */
function logNormalizer(natural: number): number {
  const size = Math.abs(natural);
  const share = size > 0 ? -Math.expm1(-size) / size : 1;
  return Math.max(natural, 0) + Math.log(share);
}
