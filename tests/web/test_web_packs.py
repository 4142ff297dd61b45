"""Incident packs from a real desk: complete, signed so that anybody can verify them, and on paper."""

import base64
import copy
import hashlib
import io
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from running_desk import START_US, Running, detection, on_desk

from alerts import pack, paper
from alerts.signing import Signer
from core.model import Position, Stage, Trace


def trace() -> Trace:
    counts = np.zeros((400, 3), "<i2")
    counts[:, 2] = 1000
    counts[200] = (12_000, -3_000, 9_000)
    return Trace(START_US - 2_000_000, 10_000_000, 0.001, 16.0, base64.b64encode(counts.tobytes()).decode())


@on_desk
async def test_a_pack_holds_who_did_what_the_trace_and_the_place_and_proves_itself(desk: Running) -> None:
    crash = detection(
        stage=Stage.CONFIRMED, trace=trace(), position=Position(22.5, 114.0, 5.0, 1.0), detector="d1"
    )
    await desk.tell(crash)
    person = await desk.person()
    await person.post("/api/v1/alerts/crash/acknowledge", json={})
    await person.post("/api/v1/alerts/crash/note", json={"note": "骑手说没事"})
    async with person.get("/api/v1/alerts/crash/pack") as answer:
        assert answer.status == 200, await answer.text()
        assert 'filename="incident-crash.json"' in answer.headers["Content-Disposition"]
        made = json.loads(await answer.read())
    content = made["content"]
    assert [(e["type"], e["actor"]) for e in content["timeline"]] == [
        ("detected", "detector"),
        ("opened", "detector"),
        ("acknowledged", "王芳"),
        ("noted", "王芳"),
    ]
    assert all(set(e) == {"seq", "at_us", "at", "type", "actor", "detail"} for e in content["timeline"])
    assert made["made"] == {"at": "2023-11-14T22:13:20.000+00:00", "by": "王芳"}
    assert content["place"]["datum"] == "WGS-84"
    assert "coordinate=wgs84" in content["place"]["map_links"][1]
    assert content["to_fill_in"]["police_number"] == ""
    rows = content["trace"]["csv"].splitlines()
    assert (rows[0], len(rows)) == ("t_s,x_g,y_g,z_g,resultant_g", 401)
    assert rows[201] == "0.0000,12.0000,-3.0000,9.0000,15.2971"
    png = base64.b64decode(content["trace"]["png_base64"])
    assert png.startswith(b"\x89PNG")
    assert hashlib.sha256(png).hexdigest() == content["trace"]["png_sha256"]
    assert hashlib.sha256(content["trace"]["csv"].encode()).hexdigest() == content["trace"]["csv_sha256"]

    async def genuine(given_: object) -> bool:
        async with person.post("/api/v1/packs/verify", json=given_) as answer:
            return (await answer.json())["genuine"]

    assert await genuine(made)
    forged = copy.deepcopy(made)
    forged["content"]["alert"]["severity"] = 1
    assert not await genuine(forged)
    forged = copy.deepcopy(made)
    forged["made"]["by"] = "李明"
    assert not await genuine(forged)


@on_desk
async def test_a_pack_on_paper_is_a_pdf_with_or_without_a_trace(desk: Running) -> None:
    await desk.tell(detection(trace=trace()), detection("bare"))
    person = await desk.person()
    for alert in ("crash", "bare"):
        async with person.get(f"/api/v1/alerts/{alert}/pack?format=pdf") as answer:
            assert (answer.status, answer.content_type) == (200, "application/pdf")
            body = await answer.read()
        assert body.startswith(b"%PDF")
        assert body.count(b"/Type /Page ") == (2 if alert == "crash" else 1)
    assert (await person.get("/api/v1/alerts/crash/pack?format=doc")).status == 400
    assert (await person.get("/api/v1/alerts/gone/pack")).status == 404


@on_desk
async def test_openssl_verifies_every_file_of_the_archive_with_the_key_that_the_desk_publishes(
    desk: Running, tmp_path: Path
) -> None:
    await desk.tell(detection(trace=trace(), position=Position(22.5, 114.0, None, None)))
    person = await desk.person()
    async with person.get("/api/v1/alerts/crash/pack?format=zip") as answer:
        assert (answer.status, answer.content_type) == (200, "application/zip")
        zipfile.ZipFile(io.BytesIO(await answer.read())).extractall(tmp_path)
    async with desk.nobody.get("/api/v1/packs/key") as answer:
        assert answer.status == 200
        assert await answer.text() == (tmp_path / "public-key.pem").read_text()

    def openssl(line: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *line.split()], cwd=tmp_path, check=False, capture_output=True)

    def verified(name: str) -> bool:
        line = f"pkeyutl -verify -pubin -inkey public-key.pem -rawin -in {name} -sigfile {name}.sig"
        return openssl(line).returncode == 0

    made = json.loads((tmp_path / "incident.json").read_bytes())
    fingerprint = hashlib.sha256(openssl("pkey -pubin -in public-key.pem -outform DER").stdout).hexdigest()
    assert made["signature"]["key_sha256"] == fingerprint
    how = (tmp_path / "VERIFY.txt").read_text()
    assert fingerprint in how
    for name in ("incident.pdf", "incident.json"):
        assert f"-in {name} -sigfile {name}.sig" in how
        assert verified(name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:-1] + b"?")
        assert not verified(name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
SIGNER = Signer("07" * 32)


@given(JSON | st.fixed_dictionaries({"content": JSON, "made": JSON, "signature": JSON}))
def test_nothing_but_a_pack_is_genuine(given_: object) -> None:
    assert not pack.genuine(given_, SIGNER)


@given(
    st.text(st.sampled_from("头盔受到冲击，骑手没有应答。Wwil 0"), max_size=400),
    st.sampled_from([8.5, 16.0]),
)
@settings(max_examples=30, deadline=None)
def test_every_line_on_paper_ends_before_the_margin_and_no_letter_is_lost(text: str, size_pt: float) -> None:
    pieces = list(paper._broken(paper.Line(text, size_pt)))
    assert all(paper._width(each.text, size_pt, False) <= paper.RIGHT - paper.LEFT for each in pieces)
    assert "".join(each.text for each in pieces).replace(" ", "") == text.replace(" ", "")


def test_a_chinese_font_installed_after_the_first_start_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = font_manager.fontManager
    stale = [font for font in manager.ttflist if font.name not in paper._CHINESE]
    monkeypatch.setattr(manager, "ttflist", stale)
    paper._fonts.cache_clear()
    try:
        assert paper._fonts()[0] in paper._CHINESE
    finally:
        paper._fonts.cache_clear()


def test_what_is_not_known_of_a_place_is_called_unknown() -> None:
    place = {"lat_deg": 22.5, "lon_deg": 114.0, "accuracy_m": None, "age_s": None, "map_links": []}
    (line,) = paper._place(place)
    assert "None" not in line
    assert line.count("unknown 未知") == 2
