/* Requests to the server, and what they have to say. */

const NO_ANSWER = "The server does not answer. Is vae-run explore still running?";

/* The response at `path`: of a POST where there is a body. Throws an Error with the server's reason. */
export async function call(path, body) {
  const request = body === undefined ? {} : { method: "POST", body };
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error(NO_ANSWER);
  }
  if (!response.ok) throw new Error((await response.json()).error);
  say("");
  return response;
}

/* Shows an error at the bottom of the screen; "" takes it away. */
export function say(text) {
  document.getElementById("message").textContent = text;
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
