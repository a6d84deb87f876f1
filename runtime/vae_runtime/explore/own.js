/* An image of the user's, drawn or from a file: what the model sees in it, and what it makes of it. */

import { makeDrawable } from "./draw.js";
import { paint } from "./paint.js";
import { call, latestOnly } from "./requests.js";

const $ = (id) => document.getElementById(id);
// What the server calls an image, whose name it isn't told.
const SERVERS_NAME = "the image";
const HINT_FOR_FILES = "Try another fit, or say which way the ink is.";
const HINT_FOR_DRAWINGS = "Try a larger drawing in the middle, or another fit.";

/* Starts to listen. `moveTo` gets the latent of each image that is encoded. */
export function listenToOwnImages(model, moveTo) {
  let last = null;

  const encode = latestOnly(async (image) => {
    const response = await call(`api/encode?${queryOf(image)}`, image.blob);
    const answer = await response.json();
    if (image !== last) return;
    paint($("seen"), bytesOf(answer.image), model.image_shape);
    paint($("rebuilt"), bytesOf(answer.reconstruction), model.image_shape);
    $("pair").hidden = false;
    $("trouble").textContent = "";
    showVerdict(answer, image);
    moveTo(answer.z_mean);
  }, refuse);

  function take(image) {
    last = image;
    encode(image);
  }

  function takeFile(file) {
    if (!file) return;
    clearDrawing();
    $("name").textContent = file.name;
    take({ blob: file, isDrawn: false });
  }

  const clearDrawing = makeDrawable($("pad"), $("pen"), model.image_shape, (blob) => {
    $("name").textContent = "";
    take({ blob, isDrawn: true });
  });

  $("clear").addEventListener("click", () => {
    clearDrawing();
    if (last?.isDrawn) {
      last = null;
      forget();
    }
  });
  $("file").addEventListener("change", () => {
    takeFile($("file").files[0]);
    // The same file may be chosen again after it was changed.
    $("file").value = "";
  });
  for (const id of ["fit", "ink"]) {
    $(id).addEventListener("change", () => { if (last) take({ ...last }); });
  }
  addOptions(model);
  listenToDrops(takeFile);
}

/* What the user chose; where nothing was chosen, the model's own way is taken. */
function queryOf(image) {
  const query = new URLSearchParams();
  if ($("fit").value) query.set("fit", $("fit").value);
  // A drawing is light on black already, whatever the user's files are.
  const invert = image.isDrawn ? "0" : $("ink").value;
  if (invert) query.set("invert", invert);
  return query;
}

/* The value "" stands for the model's own way. */
function addOptions(model) {
  for (const name of model.fits) {
    const isOwn = name === model.preprocess.fit;
    $("fit").append(new Option(name, isOwn ? "" : name, isOwn, isOwn));
  }
  $("ink").append(
    new Option("model's own", ""),
    new Option("dark on light", "1"),
    new Option("light on dark", "0"),
  );
}

function listenToDrops(takeFile) {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    takeFile(event.dataTransfer.files[0]);
  });
}

function showVerdict(answer, image) {
  const nats = `ELBO ${answer.score.toFixed(1)} nats`;
  $("verdict").textContent = answer.verdict;
  $("verdict").classList.toggle("unknown", !answer.is_known);
  $("score").textContent = answer.verdict ? `(${nats})` : nats;
  $("hint").textContent = "";
  if (!answer.is_known) $("hint").textContent = image.isDrawn ? HINT_FOR_DRAWINGS : HINT_FOR_FILES;
}

/* Shows why an image was not taken, where it was dropped, and nothing of the one before. */
function refuse(reason) {
  forget();
  const name = $("name").textContent || SERVERS_NAME;
  $("trouble").textContent = reason.replace(`${SERVERS_NAME}: `, `${name}: `);
  $("name").textContent = "";
  $("drop").scrollIntoView({ block: "nearest" });
}

function forget() {
  $("pair").hidden = true;
  for (const id of ["verdict", "score", "hint", "trouble"]) $(id).textContent = "";
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
