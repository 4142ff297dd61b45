"""Which helmets' sensors are at fault now is part of the fleet, for the page and for other programs."""

from running_desk import Running, helmet, on_desk, report


@on_desk
async def test_the_fleet_names_the_faults_of_each_helmet_and_forgets_those_that_have_passed(
    desk: Running,
) -> None:
    async def faults() -> dict[str, list[str]]:
        async with (await desk.person()).get("/api/v1/fleet") as answer:
            return {each["helmet"]: each["faults"] for each in (await answer.json())["helmets"]}

    await desk.report(report(helmet("A", faults=["frozen", "wear_stuck"], received_us=1), helmet("B")))
    assert await faults() == {"A": ["frozen", "wear_stuck"], "B": []}
    await desk.report(report(helmet("A", received_us=2)))
    assert await faults() == {"A": [], "B": []}
