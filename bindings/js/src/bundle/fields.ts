/* Fields of a JSON text that nobody vouches for. Each function takes the field's path, for its message, and
   throws an Error where the value is of another kind. */

export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_NAME = 200;
const MAX_MAGNITUDE = 1e30;

export function objectAt(value: unknown, path: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`'${path}' is not an object`);
  }
  return value as JsonObject;
}

export function listAt(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`'${path}' is not a list`);
  return value;
}

export function textAt(value: unknown, path: string): string {
  if (typeof value !== "string" || value.length > MAX_NAME) {
    throw new Error(`'${path}' is no text of at most ${MAX_NAME} characters`);
  }
  return value;
}

export function oneOf<Word extends string>(
  value: unknown,
  words: readonly Word[],
  path: string,
): Word {
  const found = words.find((word) => word === value);
  if (found === undefined) {
    throw new Error(`'${path}' ${JSON.stringify(value)} is not one of ${words.join(", ")}`);
  }
  return found;
}

export function numberAt(value: unknown, path: string): number {
  if (typeof value !== "number" || !(Math.abs(value) <= MAX_MAGNITUDE)) {
    throw new Error(`'${path}' holds ${JSON.stringify(value)} where a finite number was expected`);
  }
  return value;
}

export function wholeAt(value: unknown, path: string, low: number, high: number): number {
  const number = numberAt(value, path);
  if (!Number.isInteger(number) || number < low || number > high) {
    throw new Error(`'${path}' is ${number}, not a whole number from ${low} to ${high}`);
  }
  return number;
}

export function vectorAt(value: unknown, path: string, size: number): number[] {
  const items = listAt(value, path);
  if (items.length !== size) throw new Error(`'${path}' is not a list of ${size} numbers`);
  return items.map((item) => numberAt(item, path));
}

export function numbersAt(value: unknown, path: string): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const [name, item] of Object.entries(objectAt(value, path))) {
    numbers[name] = numberAt(item, path);
  }
  return numbers;
}
