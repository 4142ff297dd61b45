"""What a shift has to know beside its alerts: storms, what has escalated, who is there, which places there are."""

from aiohttp import web

from alerts.reader import Reader
from web.accounts import Accounts, Person
from web.state import Desk


async def storms(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Many helmets that fell silent at once, each storm one incident."""
    found = [
        {
            "id": storm.id,
            "severity": storm.severity,
            "since_us": storm.first_us,
            "opened_us": storm.opened_us,
            "open": storm.open,
            "ids": [alert.id for alert in storm.members],
        }
        for storm in desk.storms
    ]
    return web.json_response({"storms": found})


async def handover(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Live alerts that nobody took in the time of the first tier, and who was called then."""
    return web.json_response({"now_us": desk.clock.now_us(), "escalated": await desk.ask(Reader.escalated)})


async def people(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """Everybody who may sign in, by display name."""
    return web.json_response({"people": await desk.people(Accounts.names)})


async def places(_request: web.Request, desk: Desk, _by: Person) -> web.Response:
    """The cities and stations that the riders belong to, and what lies where."""
    riders = desk.registers.riders.values()
    cities = sorted({rider.city for rider in riders if rider.city})
    stations = sorted({(rider.city, rider.station) for rider in riders if rider.station})
    known = [
        {"name": place.name, "lat_deg": place.lat_deg, "lon_deg": place.lon_deg}
        for place in desk.registers.places
    ]
    return web.json_response(
        {
            "cities": cities,
            "stations": [{"city": city, "station": name} for city, name in stations],
            "known": known,
        }
    )
