"""The incident pack: all that is known of one alert in one signed file, for insurer and authority."""

import base64
import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from typing import Any

import numpy as np

from alerts import paper
from alerts.model import Change
from alerts.notices import iso
from alerts.reader import Detail
from alerts.signing import ALGORITHM, Signer

BLANKS = {
    "police_number": "",
    "police_station": "",
    "insurance_claim_number": "",
    "witnesses": "",
    "photos": [],
    "signature_of_the_person_responsible": "",
}
"""What people fill in later."""

DISCLAIMER = (
    "Impacts of a helmet were measured. Injuries are not diagnosed. 测到的是头盔受到的冲击，不是伤情诊断。"
)

VERIFY = """\
This archive holds an incident report as PDF and as JSON, and a signature (Ed25519) of each file.
本压缩包含事故报告（PDF 与 JSON）及其签名。

To check that a file comes from the desk and is unchanged, with OpenSSL 3 核验方法：

  openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in incident.pdf -sigfile incident.pdf.sig
  openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in incident.json -sigfile incident.json.sig

It says "Signature Verified Successfully". The key in this archive proves nothing by itself: compare it with the
one that the desk publishes at /api/v1/packs/key, or its fingerprint by telephone.
请与报警台公布的公钥核对，或电话核对指纹：

  {fingerprint}

which is what this prints:  openssl pkey -pubin -in public-key.pem -outform DER | openssl dgst -sha256
"""

_TIMES = ("occurred", "received", "detected", "alerted", "opened", "acknowledged", "resolved", "cancelled")


def make(found: Detail, person: str, now_us: int, signer: Signer) -> dict[str, Any]:
    """The pack, ready for JSON. The same alert in the same state has the same `content_sha256`."""
    content = _content(found)
    made = {"at": iso(now_us), "by": person}
    digest = _sha256(_canonical(content))
    return {
        "schema": "helmetwatch-incident-pack/2",
        "made": made,
        "content": content,
        "content_sha256": digest,
        "signature": {
            "algorithm": ALGORITHM,
            "key_sha256": signer.fingerprint,
            "value": base64.b64encode(signer.sign(_statement(made, digest))).decode(),
        },
    }


def genuine(pack: object, signer: Signer) -> bool:
    """Whether a pack was made by the desk that holds this key, and not a character of it has changed."""
    try:
        content, made, signature = pack["content"], pack["made"], pack["signature"]  # type: ignore[index]
        digest = _sha256(_canonical(content))
        whole = set(pack) == {"schema", "made", "content", "content_sha256", "signature"}  # type: ignore[call-overload]
        same = whole and pack["content_sha256"] == digest and set(made) == {"at", "by"}  # type: ignore[index]
        return bool(same) and signer.signed(_statement(made, digest), signature["value"])
    except (KeyError, TypeError, ValueError, RecursionError, UnicodeError):
        return False


def plain(pack: dict[str, Any]) -> bytes:
    """The pack as a JSON file."""
    return json.dumps(pack, ensure_ascii=False, indent=1).encode()


def archive(pack: dict[str, Any], signer: Signer) -> bytes:
    """PDF and JSON in a ZIP file, each with a detached signature, the public key, and how to verify."""
    files = {"incident.pdf": paper.pdf(pack), "incident.json": plain(pack)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
            zipped.writestr(f"{name}.sig", signer.sign(data))
        zipped.writestr("public-key.pem", signer.public_pem)
        zipped.writestr("VERIFY.txt", VERIFY.format(fingerprint=signer.fingerprint))
    return out.getvalue()


def _content(found: Detail) -> dict[str, Any]:
    alert, newest = found.alert, (found.detections[-1] if found.detections else {})
    position = alert.position
    return {
        "alert": asdict(alert),
        "times": {name: _moment(getattr(alert, f"{name}_us")) for name in _TIMES},
        "why": {
            "reason_zh": alert.reason_zh,
            "reason_en": alert.reason_en,
            "detector": newest.get("detector", ""),
            "features": newest.get("features", {}),
            "points": newest.get("points", {}),
        },
        "place": None
        if position is None
        else asdict(position)
        | {
            "datum": "WGS-84",
            "map_links": [
                f"https://www.openstreetmap.org/?mlat={position.lat_deg}&mlon={position.lon_deg}#map=18/"
                f"{position.lat_deg}/{position.lon_deg}",
                f"https://uri.amap.com/marker?position={position.lon_deg},{position.lat_deg}&coordinate=wgs84",
            ],
        },
        "timeline": [_entry(change) for change in found.timeline],
        "deliveries": [asdict(delivery) for delivery in found.deliveries],
        "detections": found.detections,
        "trace": _trace(found),
        "disclaimer": DISCLAIMER,
        "to_fill_in": BLANKS,
    }


def _entry(change: Change) -> dict[str, Any]:
    """A line of the timeline; from where the staff worked is nobody's business outside."""
    entry = change.entry() | {"at": iso(change.at_us)}
    del entry["address"]
    return entry


def _trace(found: Detail) -> dict[str, Any] | None:
    """CSV and picture of the acceleration, seconds counted from the first impact."""
    raw = found.trace
    if raw is None:
        return None
    counts = np.frombuffer(base64.b64decode(raw["acc"]), "<i2").reshape(-1, 3)
    acc_g = counts * float(raw["g_per_count"])
    t_s = (raw["t0_us"] - found.alert.occurred_us) / 1e6 + np.arange(len(counts)) * raw["period_ns"] / 1e9
    resultant_g = np.linalg.norm(acc_g, axis=1)
    rows = np.column_stack([t_s, acc_g, resultant_g])
    text = "t_s,x_g,y_g,z_g,resultant_g\n" + "".join(
        f"{t:.4f},{x:.4f},{y:.4f},{z:.4f},{r:.4f}\n" for t, x, y, z, r in rows.tolist()
    )
    picture = io.BytesIO()
    figure = paper.picture(t_s, acc_g, raw["full_scale_g"])
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    png = picture.getvalue()
    return {
        "csv": text,
        "csv_sha256": _sha256(text.encode()),
        "png_base64": base64.b64encode(png).decode(),
        "png_sha256": _sha256(png),
        "full_scale_g": raw["full_scale_g"],
        "unit": "multiples of 9.80665 m/s², specific force, axes x forward, y left, z up",
    }


def _moment(us: int | None) -> str | None:
    return None if us is None else iso(us)


def _canonical(content: object) -> bytes:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _statement(made: dict[str, str], digest: str) -> bytes:
    """What is signed."""
    return f"{made['at']}\n{made['by']}\n{digest}".encode()
