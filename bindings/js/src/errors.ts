/* What goes wrong with a bundle, in one line: which file, what is wrong with it, what to do. */

export class BundleError extends Error {
  override name = "BundleError";
}

/* An error's message, whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
