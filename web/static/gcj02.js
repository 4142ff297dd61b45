// From WGS-84, which satellites and this project speak, to GCJ-02, in which Chinese map services draw.
//
// The formula is that of the widely published reverse engineering (github.com/googollee/eviltransform, MIT
// licence, whose test points ours are): no official one is public. It agrees with the services to about a metre.

// Of the Krassovsky ellipsoid, with which the test points come out exactly.
const AXIS_M = 6378245.0;
const ECCENTRICITY_2 = 0.00669342162296594323;

// Outside this rectangle the services draw in WGS-84.
function insideChina(lat_deg, lon_deg) {
  return lon_deg >= 72.004 && lon_deg <= 137.8347 && lat_deg >= 0.8293 && lat_deg <= 55.8271;
}

// Sum of sines over `v`, each given as [amplitude in m, half-waves per degree].
function waves(v, terms) {
  return terms.reduce((sum, [amplitude, n]) => sum + amplitude * Math.sin(v * n * Math.PI), 0) * (2 / 3);
}

const RIPPLES = [[20, 6], [20, 2]];

// [latitude, longitude] in degrees of GCJ-02.
export function toGcj02(lat_deg, lon_deg) {
  if (!insideChina(lat_deg, lon_deg)) return [lat_deg, lon_deg];
  const x = lon_deg - 105, y = lat_deg - 35;
  const ripple = 0.1 * x * y + waves(x, RIPPLES), root = Math.sqrt(Math.abs(x));
  const north_m = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.2 * root + ripple + waves(y, [[20, 1], [40, 1 / 3], [160, 1 / 12], [320, 1 / 30]]);
  const east_m = 300 + x + 2 * y + 0.1 * x * x + 0.1 * root + ripple + waves(x, [[20, 1], [40, 1 / 3], [150, 1 / 12], [300, 1 / 30]]);
  const sine = Math.sin((lat_deg * Math.PI) / 180);
  const bulge = 1 - ECCENTRICITY_2 * sine * sine;
  const metreNorth_deg = 180 / Math.PI / ((AXIS_M * (1 - ECCENTRICITY_2)) / (bulge * Math.sqrt(bulge)));
  const metreEast_deg = 180 / Math.PI / ((AXIS_M / Math.sqrt(bulge)) * Math.cos((lat_deg * Math.PI) / 180));
  return [lat_deg + north_m * metreNorth_deg, lon_deg + east_m * metreEast_deg];
}
