/* The page's side of the service worker. */

/* Resolves when the service worker hears of every request, or can't: browsers have it for https and localhost alone. */
export async function underControl() {
  const container = navigator.serviceWorker;
  if (!container || !import.meta.env.PROD) return;
  try {
    const registration = await container.register("service_worker.js");
    await Promise.race([container.ready, failureOf(registration.installing)]);
    if (!container.controller && registration.active) await claimBy(registration.active);
  } catch (error) {
    console.warn(`The page won't work without a network: ${error.message}`);
  }
}

/* A first visit, or one that was reloaded by force, isn't under control until it is claimed. */
function claimBy(active) {
  const changed = new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
  active.postMessage("claim");
  return changed;
}

/* Resolves when a service worker cannot be installed; never where there is none. */
function failureOf(installing) {
  return new Promise((resolve) => {
    installing?.addEventListener("statechange", () => {
      if (installing.state === "redundant") resolve();
    });
  });
}
