// A Leaflet map that works without tiles: a plain grid and a scale bar, so that no other host is asked.
//
// Positions are WGS-84 everywhere but on tiles of Chinese map services: `onMap` moves a mark to where these draw it.

import { h } from "./dom.js";
import { toGcj02 } from "./gcj02.js";

const L = globalThis.L;
const OSM = /^https:\/\/([^/]*\.)?openstreetmap\.org\//;

let tiles = { url: "", datum: "wgs84", attribution: "" };

// As the desk tells them after signing in.
export function setTiles({ tiles_url: url, tiles_datum: datum, tiles_attribution: attribution }) {
  tiles = { url, datum, attribution };
}

// The datum the map is drawn in.
export function mapDatum() {
  return tiles.url ? tiles.datum : "wgs84";
}

// Where a WGS-84 position lies on the map: [latitude, longitude].
export function onMap(lat_deg, lon_deg) {
  return mapDatum() === "gcj02" ? toGcj02(lat_deg, lon_deg) : [lat_deg, lon_deg];
}

// Whose tiles these are, in a corner of the map; OpenStreetMap asks for its own line with a link.
const Attribution = L.Control.extend({
  options: { position: "bottomright" },
  onAdd() {
    const osm = h("a", { href: "https://www.openstreetmap.org/copyright", target: "_blank", rel: "noreferrer" }, "© OpenStreetMap contributors");
    return h("div", { class: "attribution" }, tiles.attribution || (OSM.test(tiles.url.replace("{s}.", "")) ? osm : ""));
  },
});

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
  if (tiles.url) {
    // Tile servers may ask where a request comes from; they learn the desk's host, not the page's address.
    L.tileLayer(tiles.url, { maxZoom: 19, referrerPolicy: "origin" }).addTo(map);
    new Attribution().addTo(map);
  } else {
    new Grid({ tileSize: 128 }).addTo(map);
  }
  // The browser resizes the box when the window or the view changes; the map has to be told.
  const observer = new ResizeObserver(() => map.invalidateSize({ animate: false }));
  observer.observe(node);
  map.on("unload", () => observer.disconnect());
  return map;
}
