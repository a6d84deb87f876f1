/* The members of a stored zip, as PKWARE's APPNOTE.TXT describes it. It is untrusted: names, sizes, duplicates and
   checksums are checked before a byte is used, and nothing can unpack to more than it is. */

import { crc32 } from "../random/crc32.js";
import { isPlainName } from "./storage.js";

const END = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT = 0xffff;
const ENTRY = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
const STORED = 0;
const ENCRYPTED = 1;
const MAX_MEMBERS = 64;

/* Name to content. Throws an Error for what is no zip, or one that a bundle can't be. */
export function zipMembers(content: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const end = placeOfEnd(view);
  const count = view.getUint16(end + 10, true);
  if (count > MAX_MEMBERS) throw new Error(`${count} members, more than ${MAX_MEMBERS}`);
  const members = new Map<string, Uint8Array>();
  let place = view.getUint32(end + 16, true);
  for (let i = 0; i < count; i++) {
    require(place + ENTRY_BYTES <= end && view.getUint32(place, true) === ENTRY);
    const nameBytes = view.getUint16(place + 28, true);
    const name = new TextDecoder().decode(bytesAt(content, place + ENTRY_BYTES, nameBytes));
    if (!isPlainName(name)) throw new Error(`the member '${name}' is not a plain name`);
    if (members.has(name)) throw new Error(`the member '${name}' is there twice`);
    members.set(name, memberAt(content, view, place, name));
    place += ENTRY_BYTES + nameBytes + view.getUint16(place + 30, true) + view.getUint16(place + 32, true);
  }
  return members;
}

/* The content of the member whose entry in the list stands at `place`. */
function memberAt(content: Uint8Array, view: DataView, place: number, name: string): Uint8Array {
  const isEncrypted = view.getUint16(place + 8, true) & ENCRYPTED;
  if (view.getUint16(place + 10, true) !== STORED || isEncrypted) {
    throw new Error(`${name}: compressed or encrypted; a bundle's members are stored`);
  }
  const size = view.getUint32(place + 24, true);
  require(size === view.getUint32(place + 20, true));
  const local = view.getUint32(place + 42, true);
  require(local + LOCAL_BYTES <= content.length && view.getUint32(local, true) === LOCAL);
  const start = local + LOCAL_BYTES + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  const member = bytesAt(content, start, size);
  if (crc32(member) !== view.getUint32(place + 16, true)) {
    throw new Error(`${name}: damaged, its checksum is another; copy the bundle again`);
  }
  return member;
}

function placeOfEnd(view: DataView): number {
  const first = Math.max(0, view.byteLength - END_BYTES - MAX_COMMENT);
  for (let place = view.byteLength - END_BYTES; place >= first; place--) {
    if (view.getUint32(place, true) === END) return place;
  }
  throw new Error("no zip file, or one that is cut off");
}

function bytesAt(content: Uint8Array, start: number, size: number): Uint8Array {
  require(start + size <= content.length);
  return content.subarray(start, start + size);
}

function require(isRight: boolean): void {
  if (!isRight) throw new Error("a damaged zip; copy the bundle again");
}
