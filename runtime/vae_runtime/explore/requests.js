/* Calls of the model, and what goes wrong with them. */

import { say } from "./message.js";
import { send } from "./transport.js";

/* The Response at `path`: of a POST where there is a body. Throws an Error with the reason where the call is refused. */
export async function call(path, body) {
  const response = await send(path, body);
  if (!response.ok) throw new Error((await response.json()).error);
  say("");
  return response;
}

/* `send` as a function that has one call under way at a time: of those that wait only the newest is sent. */
export function latestOnly(send, fail = say) {
  let isBusy = false;
  let waiting = null;
  return async function ask(value) {
    if (isBusy) {
      waiting = { value };
      return;
    }
    isBusy = true;
    try {
      await send(value);
    } catch (error) {
      fail(error.message);
    }
    isBusy = false;
    if (waiting) {
      const next = waiting.value;
      waiting = null;
      ask(next);
    }
  };
}
