"""Who is near: against the haversine formula, over the whole Earth."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import places, riders
from alerts.model import Rider
from alerts.nearby import EARTH_M, MOST, WITHIN_M, Helper, nearby
from core.config import ConfigError

HEADER = "kind,name,lat_deg,lon_deg,phone,note\n"


def helper(n: int, lat: float, lon: float, kind: str = "rider") -> Helper:
    return Helper(f"{kind}:{n}", kind, f"n{n}", "", "", lat, lon, None)


def haversine_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    (la, lo), (lb, lp) = (tuple(map(math.radians, each)) for each in (a, b))
    h = math.sin((lb - la) / 2) ** 2 + math.cos(la) * math.cos(lb) * math.sin((lp - lo) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(min(1, h)))


NEAR = st.tuples(st.floats(-0.06, 0.06), st.floats(-0.06, 0.06))


@given(
    st.tuples(st.floats(-89.9, 89.9), st.floats(-180, 180)),
    st.lists(st.tuples(NEAR, st.sampled_from(["rider", "station"])), max_size=40),
)
def test_the_nearest_of_each_kind_come_first_and_nobody_beyond_reach(
    here: tuple[float, float], around: list[tuple[tuple[float, float], str]]
) -> None:
    everybody = [
        helper(n, max(-90, min(90, here[0] + d_lat)), (here[1] + d_lon + 180) % 360 - 180, kind)
        for n, ((d_lat, d_lon), kind) in enumerate(around)
    ]
    found = nearby(*here, everybody)
    expected = {each.id: haversine_m(here, (each.lat_deg, each.lon_deg)) for each in everybody}
    distances = [each.distance_m for each in found]
    assert distances == sorted(distances)
    for each in found:
        assert each.distance_m == pytest.approx(expected[each.helper.id], abs=0.5)
    for kind in ("rider", "station"):
        inside = sorted(
            metres for id_, metres in expected.items() if id_.startswith(kind) and metres < WITHIN_M - 1
        )[:MOST]
        shown = [each.distance_m for each in found if each.helper.kind == kind]
        assert len(shown) >= len(inside)
        assert shown[: len(inside)] == pytest.approx(inside, abs=0.5)


def test_a_file_names_stations_and_aeds(tmp_path: Path) -> None:
    path = tmp_path / "places.csv"
    path.write_text(
        "\ufeff" + HEADER + "station,驿站,22.5,114.0,0755,24 h\r\naed,地铁,22.51,114.0,,\r\n", "utf-8"
    )
    station, aed = places.read(path)
    assert (station.kind, station.name, station.lat_deg, station.phone) == ("station", "驿站", 22.5, "0755")
    assert aed.id.startswith("aed:")
    assert places.read(path) == [station, aed], "the ids stay the same"


def test_all_faults_of_the_file_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "places.csv"
    path.write_text(HEADER + "shop,a,1,2,,\nstation,b,91,0,,\naed,c,x,0,,\naed,d,nan,0,,\nstation,e,1\n")
    with pytest.raises(ConfigError) as caught:
        places.read(path)
    assert [fault.split("places.csv:")[1][0] for fault in caught.value.faults] == list("23456")


def test_a_rider_is_asked_only_after_having_agreed(tmp_path: Path) -> None:
    path = tmp_path / "riders.csv"
    path.write_text(
        "helmet,name,phone,first_aid\nSF-1,A,1,yes\nSF-2,B,2,\nSF-3,C,3,是\nSF-4,D,4,No\n", "utf-8"
    )
    found = riders.read(path).riders
    assert [name for name, rider in found.items() if rider.first_aid] == ["SF-1", "SF-3"]
    assert found["SF-2"] == Rider("B", "2")
    path.write_text("helmet,name,phone,first_aid\nSF-1,A,1,maybe\n")
    with pytest.raises(ConfigError, match="first_aid must be yes or no"):
        riders.read(path)
