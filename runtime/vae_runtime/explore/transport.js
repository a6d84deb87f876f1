/* How the page reaches the model: it asks the server that it came from. The page in examples/browser, which has the model
   with it, puts another file in this one's place. */

const NO_ANSWER = "The server does not answer. Is vae-run explore still running?";

/* The Response to a call at `path`: a POST where there is a body. Throws an Error where there is none. */
export async function send(path, body) {
  const request = body === undefined ? {} : { method: "POST", body };
  try {
    return await fetch(path, request);
  } catch {
    throw new Error(NO_ANSWER);
  }
}
