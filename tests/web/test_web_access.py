"""Who may call what; what foreign pages, guessed passwords and broken bodies come to."""

import asyncio
import json
import sqlite3
from dataclasses import asdict

import argon2
import pytest
from cheap_passwords import SHIPPED
from running_desk import START_US, TOKEN, Running, detection, on_desk
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.config import Config, ConfigError
from web.accounts import AccountError, Accounts, Role, add_account
from web.desk import make_app

ANYONE = {
    "GET /api/v1/openapi.json",
    "GET /api/v1/docs",
    "GET /api/v1/packs/key",
    "POST /api/v1/session",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /",
    "GET /static",
}
WORKERS = {
    "POST /api/v1/detections",
    "POST /api/v1/events",
    "POST /api/v1/report",
    "GET /api/v1/observations",
}


def registered(tmp_path) -> set[str]:
    config = Config.model_validate({"alerts": {"path": str(tmp_path / "alerts.db")}})
    app = make_app(config, ManualClock(), TOKEN)
    return {f"{r.method} {r.resource.canonical}" for r in app.router.routes() if r.method != "HEAD"}


@on_desk
async def test_every_route_asks_for_the_right_caller(desk: Running) -> None:
    person = await desk.person()
    routes = registered(desk.folder)
    assert len(routes) > 15
    for route in routes - ANYONE:
        method, path = route.split()
        path = path.format(id="crash", name="group")
        wrong = person if route in WORKERS else desk.worker
        for client, status in (
            (desk.nobody, 401),
            (desk.client(Authorization="Bearer wrong"), 401),
            (wrong, 403),
        ):
            async with client.request(method, path, json={}) as answer:
                assert (route, answer.status) == (route, status)
                assert answer.content_type == "application/problem+json"
                assert (await answer.json())["detail"].endswith((".", "it."))


@on_desk
async def test_signing_in_names_the_person_and_signing_out_ends_it(desk: Running) -> None:
    person = await desk.person("wang")
    async with person.get("/api/v1/session") as answer:
        assert await answer.json() == {
            "name": "wang",
            "display_name": "王芳",
            "role": "supervisor",
            "tiles_url": "",
            "tiles_datum": "wgs84",
            "tiles_attribution": "",
        }
    cookies = {c.key: c.value for c in person.cookie_jar}
    assert (await person.delete("/api/v1/session")).status == 204
    async with desk.client().get("/api/v1/session", cookies=cookies) as answer:
        assert answer.status == 401


@on_desk
async def test_the_cookie_is_out_of_reach_of_scripts_and_foreign_pages(desk: Running) -> None:
    body = {"name": "wang", "password": desk.passwords["wang"]}
    for headers, secure in (({}, False), ({"X-Forwarded-Proto": "https"}, True)):
        async with desk.nobody.post("/api/v1/session", json=body, headers=headers) as answer:
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert ("Secure" in cookie) == secure


@on_desk
async def test_a_session_ends_after_its_hours(desk: Running) -> None:
    person = await desk.person()
    desk.clock.advance(12 * 3600 - 1)
    assert (await person.get("/api/v1/session")).status == 200
    desk.clock.advance(2)
    assert (await person.get("/api/v1/session")).status == 401


def test_a_password_costs_who_guesses_it_64_mib_and_three_passes() -> None:
    """The second choice of RFC 9106 (section 4), for machines that also do other things."""
    parameters = argon2.extract_parameters(SHIPPED.hash("a password"))
    assert parameters.type is argon2.Type.ID
    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (3, 64 * 1024, 4)


@on_desk
async def test_the_file_holds_neither_passwords_nor_cookies(desk: Running) -> None:
    person = await desk.person()
    cookie = next(iter(person.cookie_jar)).value
    data = b"".join(path.read_bytes() for path in desk.folder.iterdir())
    assert b"argon2id" in data
    assert cookie.encode() not in data
    assert desk.passwords["wang"].encode() not in data


@on_desk
async def test_guessing_a_password_is_slowed_down_for_that_name_from_there_alone(desk: Running) -> None:
    guess = {"name": "wang", "password": "wrong"}
    answers = await asyncio.gather(*(desk.nobody.post("/api/v1/session", json=guess) for _ in range(12)))
    assert sorted(answer.status for answer in answers) == [401] * 10 + [429] * 2
    right = {"name": "wang", "password": desk.passwords["wang"]}
    async with desk.nobody.post("/api/v1/session", json=right) as answer:
        assert answer.status == 429
        wait_s = int(answer.headers["Retry-After"])
        assert 0 < wait_s <= 300
    await desk.person("li")
    async with desk.client(**{"X-Forwarded-For": "203.0.113.9"}).post(
        "/api/v1/session", json=right
    ) as answer:
        assert answer.status == 200, "from elsewhere"
    desk.clock.advance(wait_s + 1)
    await desk.person("wang")


@on_desk
async def test_trying_many_names_is_slowed_down_for_the_address(desk: Running) -> None:
    async def guess(n: int, **headers: str) -> int:
        body = {"name": f"name{n}", "password": "wrong"}
        return (await desk.nobody.post("/api/v1/session", json=body, headers=headers)).status

    seen = await asyncio.gather(*(guess(n) for n in range(32)))
    assert sorted(seen) == [401] * 30 + [429] * 2
    assert await guess(99, **{"X-Forwarded-For": "203.0.113.7"}) == 401


@on_desk
async def test_a_foreign_page_changes_nothing(desk: Running) -> None:
    await desk.tell(detection())
    person = await desk.person()
    path = "/api/v1/alerts/crash/acknowledge"
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert (await person.post(path, json={}, headers=headers)).status == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert (await person.post(path, data=b"{}", headers={"Content-Type": kind})).status == 415
    assert (await person.post(path, json={}, headers={"Origin": desk.url})).status == 200


@on_desk
async def test_every_answer_carries_the_headers_that_protect_its_reader(desk: Running) -> None:
    for path in ("/healthz", "/api/v1/alerts", "/nothing/here", "/"):
        async with desk.nobody.get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == ("no-cache" if path == "/" else "no-store")


BROKEN = [
    (b"", "not JSON"),
    (b"[", "not JSON (line 1"),
    (b"\xff\xfe", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"{}", "body: "),
    (b"[1]", "0: "),
    (json.dumps([asdict(detection()), {"incident": "x"}]).encode(), "1."),
    (json.dumps([asdict(detection()) | {"severity": 9}]).encode(), "0.severity: must be 1 to 4"),
    (json.dumps([asdict(detection()) | {"stage": "sure"}]).encode(), "0.stage: "),
    (json.dumps([asdict(detection()) | {"version": 10**30}]).encode(), "0.version: "),
    (json.dumps([asdict(detection()) | {"helmet": "../../x"}]).encode(), "0.helmet: "),
    (json.dumps([asdict(detection()) | {"impacts_us": [-1]}]).encode(), "0.occurred_us"),
]


@pytest.mark.parametrize(("body", "says"), BROKEN, ids=range(len(BROKEN)))
@on_desk
async def test_a_broken_body_is_named_by_its_field_and_takes_nothing(
    desk: Running, body: bytes, says: str
) -> None:
    async with desk.worker.post(
        "/api/v1/detections", data=body, headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 400
        assert says in (await answer.json())["detail"]
    async with (await desk.person()).get("/api/v1/alerts") as answer:
        assert (await answer.json())["alerts"] == []


@on_desk
async def test_what_an_alert_can_do_without_never_costs_it(desk: Running) -> None:
    body = asdict(detection()) | {
        "features": {"peak_g": 9.0, "tilt": float("nan"), "x": None},
        "position": {"lat_deg": float("nan"), "lon_deg": 1.0},
        "speed_mps": float("inf"),
        "trace": {"t0_us": 1, "period_ns": 1, "g_per_count": 1, "full_scale_g": 1, "acc": "not base64!"},
        "new_in_a_later_version": True,
    }
    assert (await desk.worker.post("/api/v1/detections", json=[body])).status == 200
    async with (await desk.person()).get("/api/v1/alerts/crash") as answer:
        shown = await answer.json()
    assert shown["features"] == {"peak_g": 9.0}
    assert (shown["position"], shown["speed_mps"], shown["trace"]) == (None, None, None)


@on_desk
async def test_a_body_that_is_too_large_is_refused(desk: Running) -> None:
    await desk.tell(detection())
    person = await desk.person()
    async with person.post("/api/v1/alerts/crash/note", json={"note": "x" * 70_000}) as answer:
        assert answer.status == 413
    async with person.post("/api/v1/alerts/crash/note", json={"note": "x" * 2001}) as answer:
        assert answer.status == 400
        assert "at most 2000 characters" in (await answer.json())["detail"]


@on_desk
async def test_the_unexpected_is_a_500_with_a_number_and_logs_no_data(desk: Running) -> None:
    person = await desk.person()
    await desk.tell(detection())
    db = sqlite3.connect(desk.folder / "alerts.db")
    # Somebody else's hand in the file: no request could do it, and no code foresees it.
    db.execute("UPDATE alerts SET body = json_replace(body, '$.worn', 77, '$.reason_en', 'a-private-matter')")
    db.commit()
    with capture_logs() as events:
        async with person.get("/api/v1/alerts/crash") as answer:
            problem = await answer.json()
            assert answer.status == 500
    log = repr(events)
    assert problem["id"] in problem["detail"]
    assert problem["id"] in log
    assert "private" not in log + problem["detail"]
    db.close()


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "needs a token"),
        ("qwertyuiop12345", "shorter than 16"),
        ("changeme-changeme-changeme", "placeholder"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "placeholder"),
        ("with spaces in the token", "without spaces"),
    ],
)
def test_a_desk_without_a_real_token_does_not_start(token: str, says: str, tmp_path) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        make_app(Config(), ManualClock(), token)
    assert "secrets.token_urlsafe" in str(error.value)
    assert not token or token not in str(error.value)


def test_names_are_unique_printable_and_never_a_machine(tmp_path) -> None:
    book = tmp_path / "alerts.db"
    password = add_account(book, " 王芳 ", "王芳")
    assert len(password) == 23
    for name, shown in (("王芳", "x"), ("x", "王芳"), ("", ""), ("a\nb", ""), ("x" * 41, ""), ("Rider", "")):
        with pytest.raises(AccountError):
            add_account(book, name, shown)


def test_a_renewed_password_signs_out_everywhere(tmp_path) -> None:
    accounts = Accounts(tmp_path / "alerts.db")
    first = accounts.add("wang", "王芳", Role.OPERATOR)
    token = accounts.open_session("wang", START_US + 1, START_US)
    assert accounts.person(token, START_US) is not None
    assert accounts.renew("wang") != first
    assert accounts.person(token, START_US) is None
    accounts.remove("wang")
    assert accounts.secret("wang") is None
    with pytest.raises(AccountError, match="no account"):
        accounts.renew("wang")
    accounts.close()
