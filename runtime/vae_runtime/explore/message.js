/* Shows an error at the bottom of the screen; "" takes it away. */
export function say(text) {
  document.getElementById("message").textContent = text;
}
