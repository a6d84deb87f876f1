/* A canvas to draw on with finger, pen, mouse or keyboard: light ink on black, as MNIST's digits are. */

// Pixels along the longer side of the canvas, and how many of them a pixel of MNIST's 28 would be.
const SIDE = 280;
const STEP = 10;
// MNIST's strokes are two to three of its pixels wide.
const INK_WIDTH = 24;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/* Lets people draw on `canvas`, of the proportions of `shape` (C, H, W).
   `pen` is an element over the canvas that shows where the keyboard's pen is. After each stroke
   `whenDrawn` gets the drawing as the Blob of a PNG. Returns a function that clears the canvas. */
export function makeDrawable(canvas, pen, shape, whenDrawn) {
  const [, height, width] = shape;
  const scale = SIDE / Math.max(height, width);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  let at = [canvas.width / 2, canvas.height / 2];
  let isDown = false;

  function clear() {
    isDown = false;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    movePen(at);
  }

  function movePen(to) {
    at = [within(to[0], canvas.width), within(to[1], canvas.height)];
    pen.style.left = `${100 * at[0] / canvas.width}%`;
    pen.style.top = `${100 * at[1] / canvas.height}%`;
    pen.classList.toggle("down", isDown);
  }

  /* A line from where the pen is; one without length is a dot. */
  function drawTo(to) {
    context.strokeStyle = "#fff";
    context.lineWidth = INK_WIDTH;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...at);
    context.lineTo(...to);
    context.stroke();
    movePen(to);
  }

  function finishStroke() {
    isDown = false;
    movePen(at);
    canvas.toBlob(whenDrawn, "image/png");
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * canvas.width;
    const y = (event.clientY - box.top) / box.height * canvas.height;
    return [x, y];
  }

  function listenToPointer() {
    // A palm beside the pen is a second pointer, which doesn't draw.
    let pointer = null;

    canvas.addEventListener("pointerdown", (event) => {
      if (pointer !== null || event.button !== 0) return;
      pointer = event.pointerId;
      canvas.setPointerCapture(pointer);
      isDown = true;
      movePen(placeOf(event));
      drawTo(at);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== pointer) return;
      // Between two frames a fast pointer has been in several places.
      const events = event.getCoalescedEvents?.() ?? [];
      for (const place of events.length ? events : [event]) drawTo(placeOf(place));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => {
        if (event.pointerId !== pointer) return;
        pointer = null;
        finishStroke();
      });
    }
  }

  function listenToKeyboard() {
    canvas.addEventListener("keydown", (event) => {
      if (event.key in ARROWS) moveByKey(event);
      else if (event.key === " ") togglePen();
      else if (event.key === "Delete" || event.key === "Backspace") clear();
      else return;
      event.preventDefault();
    });
    canvas.addEventListener("blur", () => { if (isDown) finishStroke(); });
  }

  function moveByKey(event) {
    const [x, y] = ARROWS[event.key];
    const step = event.shiftKey ? 3 * STEP : STEP;
    const to = [within(at[0] + x * step, canvas.width), within(at[1] + y * step, canvas.height)];
    if (isDown) drawTo(to);
    else movePen(to);
  }

  function togglePen() {
    if (isDown) {
      finishStroke();
      return;
    }
    isDown = true;
    drawTo(at);
  }

  listenToPointer();
  listenToKeyboard();
  clear();
  return clear;
}

function within(value, high) {
  return Math.min(high, Math.max(0, value));
}
