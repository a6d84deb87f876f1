/* Where a bundle's files are: in a folder of a web server or of this machine, or in one zip. */

import { BundleError, reasonOf } from "../errors.js";
import { zipMembers } from "./zip.js";

export const MANIFEST = "bundle.json";
const ZIP_START = [0x50, 0x4b];
const MAX_NAME = 200;
// Characters that a plain name doesn't have: a bundle's files lie inside it.
const UNPRINTABLE_OR_PATH = /[/\\:\p{C}]/u;
const WEB_ADDRESS = /^(https?|blob|data):/;
const FILE_ADDRESS = /^file:/;

/* What a bundle may be loaded from: the address of a folder or of a zip, in Node also a path; the zip's bytes; a File. */
export type BundleSource = string | URL | ArrayBuffer | Uint8Array | Blob;

export interface Storage {
  /* What to call the bundle. */
  readonly name: string;
  /* The content of one file. Throws BundleError where it is missing. */
  read(file: string): Promise<Uint8Array>;
}

/* Whether a name can only be that of a file inside the bundle. */
export function isPlainName(name: string): boolean {
  const isShort = name.length > 0 && name.length <= MAX_NAME && name !== "." && name !== "..";
  return isShort && !UNPRINTABLE_OR_PATH.test(name);
}

/* The files of a bundle. Throws BundleError for what isn't there or is none. */
export async function openStorage(source: BundleSource): Promise<Storage> {
  if (source instanceof Uint8Array) return zipStorage("bundle in memory", source);
  if (source instanceof ArrayBuffer) return zipStorage("bundle in memory", new Uint8Array(source));
  if (source instanceof Blob) {
    const name = "name" in source ? String(source.name) : "bundle in memory";
    return zipStorage(name, new Uint8Array(await source.arrayBuffer()));
  }
  const place = String(source);
  if (!place) throw new BundleError("an empty address; give that of a bundle");
  if (isNode() && !WEB_ADDRESS.test(place)) return openPath(place);
  return openAddress(place);
}

export function isNode(): boolean {
  return typeof process !== "undefined" && Boolean(process.versions?.node) && typeof window === "undefined";
}

function zipStorage(name: string, content: Uint8Array): Storage {
  let members: Map<string, Uint8Array>;
  try {
    members = zipMembers(content);
  } catch (error) {
    throw new BundleError(`${name}: not a bundle: ${reasonOf(error)}`);
  }
  return {
    name,
    async read(file) {
      const member = members.get(file);
      if (!member) throw new BundleError(`${name}: ${file}: missing from the bundle`);
      return member;
    },
  };
}

/* A file of that address is a zip; a folder's files lie beneath it. */
async function openAddress(address: string): Promise<Storage> {
  const base = typeof location === "undefined" ? undefined : location.href;
  const url = new URL(address, base);
  if (!url.pathname.endsWith("/")) {
    const content = await fetched(url, address);
    if (content && startsLikeZip(content)) return zipStorage(address, content);
    url.pathname += "/";
  }
  return {
    name: address,
    async read(file) {
      const content = await fetched(new URL(encodeURIComponent(file), url), `${address}: ${file}`);
      if (!content) throw new BundleError(`${address}: ${file}: missing from the bundle`);
      return content;
    },
  };
}

/* undefined for what isn't there. */
async function fetched(url: URL, name: string): Promise<Uint8Array | undefined> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new BundleError(`${name}: cannot be fetched: ${reasonOf(error)}`);
  }
  if (response.status === 404) return undefined;
  if (!response.ok) throw new BundleError(`${name}: the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function openPath(place: string): Promise<Storage> {
  const { readFile, stat } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const { fileURLToPath } = await import("node:url");
  const path = FILE_ADDRESS.test(place) ? fileURLToPath(place) : place;
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new BundleError(`${path}: no such bundle`);
  if (found.isFile()) return zipStorage(path, await readFile(path));
  if (!found.isDirectory()) throw new BundleError(`${path}: neither a folder nor a file`);
  return {
    name: path,
    async read(file) {
      try {
        return await readFile(join(path, file));
      } catch (error) {
        const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
        throw new BundleError(`${join(path, file)}: ${isMissing ? "missing from the bundle" : reasonOf(error)}`);
      }
    },
  };
}

function startsLikeZip(content: Uint8Array): boolean {
  return ZIP_START.every((byte, i) => content[i] === byte);
}
