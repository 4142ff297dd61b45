// A Leaflet map that works without tiles: a plain grid and a scale bar, so that no other host is asked.

const L = globalThis.L;

let tilesUrl = document.querySelector('meta[name="tiles-url"]')?.content || "";

export function setTilesUrl(url) {
  if (url) tilesUrl = url;
}

const Grid = L.GridLayer.extend({
  createTile() {
    const tile = document.createElement("div");
    tile.className = "grid-tile";
    return tile;
  },
});

export function makeMap(node, options = {}) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map(node, {
    attributionControl: false, zoomControl: false, preferCanvas: true, maxZoom: 19, minZoom: 2, keyboard: true,
    zoomAnimation: !calm, fadeAnimation: !calm, markerZoomAnimation: !calm, ...options,
  });
  L.control.zoom({ position: "topright", zoomInText: "+", zoomOutText: "−" }).addTo(map);
  L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);
  (tilesUrl ? L.tileLayer(tilesUrl, { maxZoom: 19 }) : new Grid({ tileSize: 128 })).addTo(map);
  // The browser resizes the box when the window or the view changes; the map has to be told.
  const observer = new ResizeObserver(() => map.invalidateSize({ animate: false }));
  observer.observe(node);
  map.on("unload", () => observer.disconnect());
  return map;
}
