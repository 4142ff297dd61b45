"""A file of riders or places taken into use on the page: first shown, then confirmed, and written down."""

import base64
from typing import Any

from running_desk import START_US, Running, detection, with_riders_file

RIDERS = "helmet,name,phone,city\nSF-000001,张三,+861380000,深圳\nSF-000002,李四,2,深圳\n"


with_files = with_riders_file(RIDERS)


async def send(client: Any, path: str, text: str | bytes, **more: Any) -> tuple[int, dict[str, Any]]:
    raw = text if isinstance(text, bytes) else text.encode()
    body = {"file": base64.b64encode(raw).decode(), **more}
    async with client.post(f"/api/v1/registers/{path}", json=body) as answer:
        return answer.status, await answer.json()


@with_files
async def test_what_a_file_would_change_is_told_and_only_that_is_taken_into_use(desk: Running) -> None:
    person = await desk.person()
    (desk.folder / "riders.csv").chmod(0o640)
    new = "helmet,name,phone\nSF-000002,李四,3\nSF-000003,王五,4\n"
    status, seen = await send(person, "riders/preview", new)
    assert status == 200, seen
    assert {name: seen[name] for name in ("rows", "added", "changed", "gone", "same", "faults")} == {
        "rows": 2, "added": 1, "changed": 1, "gone": 1, "same": 0, "faults": []}  # fmt: skip
    assert seen["lines"] == {
        "added": ["SF-000003 王五"], "changed": ["SF-000002 李四: city, phone"], "gone": ["SF-000001 张三"]}  # fmt: skip
    assert (desk.folder / "riders.csv").read_text(encoding="utf-8") == RIDERS
    assert (await send(person, "riders", new))[0] == 409, "without a preview"
    assert (await send(person, "riders", new, add=True, of=seen["of"]))[0] == 409, "that is another change"
    status, state = await send(person, "riders", new, of=seen["of"])
    assert (status, state["riders"]) == (200, 2)
    assert state["trail"] == [
        {"at_us": START_US, "by": "王芳", "what": "riders", "rows": 2, "added": 1, "changed": 1, "gone": 1}
    ]
    assert (await send(person, "riders", new, of=seen["of"]))[0] == 409, "what is in use is another file now"
    await desk.tell(detection("new", helmet="SF-000003"))
    async with person.get("/api/v1/alerts/new") as answer:
        assert (await answer.json())["rider"]["name"] == "王五"
    assert (desk.folder / "riders.csv").stat().st_mode & 0o777 == 0o640, "as it was"


@with_files
async def test_every_fault_is_told_with_its_line_and_such_a_file_is_never_taken(desk: Running) -> None:
    person = await desk.person()
    bad = RIDERS + "SF-000001,twice,1,\n\nbad helmet,name,1,\n"
    status, seen = await send(person, "riders/preview", bad)
    assert status == 200
    assert [fault.split(": ")[0] for fault in seen["faults"]] == ["riders.csv:4", "riders.csv:6"]
    assert seen["of"] == ""
    assert (await send(person, "riders", bad, of=""))[0] == 409
    assert (desk.folder / "riders.csv").read_text(encoding="utf-8") == RIDERS
    status, seen = await send(person, "riders/preview", RIDERS.encode("gb18030"), add=True)
    assert (status, seen["encoding"], seen["same"], seen["faults"]) == (200, "gb18030", 2, [])


@with_files
async def test_only_people_replace_a_register_and_only_one_that_has_a_file(desk: Running) -> None:
    person = await desk.person()
    for path in ("riders", "riders/preview"):
        assert (await send(desk.nobody, path, RIDERS))[0] == 401
        assert (await send(desk.worker, path, RIDERS))[0] == 403
    assert (await send(person, "places/preview", "x"))[0] == 409
    assert (await send(person, "helmets/preview", "x"))[0] == 404
    async with person.post("/api/v1/registers/riders/preview", json={"file": "not base64!"}) as answer:
        assert answer.status == 400
    async with person.get("/api/v1/registers") as answer:
        state = await answer.json()
    assert (state["files"], state["trail"]) == (["riders"], [])


@with_files
async def test_a_file_that_cannot_be_written_leaves_no_line_in_the_trail(desk: Running) -> None:
    person = await desk.person()
    new = RIDERS + "SF-000003,王五,4,\n"
    _, seen = await send(person, "riders/preview", new)
    # Where the new file would be made stands a folder: as good as a disk that is full.
    (desk.folder / ".riders.csv.new").mkdir()
    status, problem = await send(person, "riders", new, of=seen["of"])
    assert (status, "cannot be written" in problem["detail"]) == (503, True)
    async with person.get("/api/v1/registers") as answer:
        assert (await answer.json())["trail"] == []
