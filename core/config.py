"""Every option: its type, bounds, default and one sentence. `config.yaml` is this file in YAML.

Validation opens no socket and reports all faults at once, each with its dotted path and line.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, field_validator

from core import yaml_file
from core.config_channels import Alertmanager as Alertmanager
from core.config_channels import Apprise as Apprise
from core.config_channels import Channel as Channel
from core.config_channels import Mail as Mail
from core.config_channels import Robot as Robot
from core.config_channels import Webhook as Webhook
from core.section import Port as Port
from core.section import Section as Section
from core.yaml_file import ConfigError as ConfigError

HttpUrl = Annotated[str, Field(pattern=r"^$|^https?://")]
"""Address of something on the web, or empty."""


class Tls(Section):
    """Encryption on the way to the broker."""

    enabled: bool = False
    """Encrypt the connection to the broker (TLS 1.2 or newer)."""
    ca_file: str = ""
    """Certificate authority that signed the broker's certificate; empty means the system's own."""
    cert_file: str = ""
    """Client certificate, where the broker asks for one."""
    key_file: str = ""
    """Key of the client certificate."""


class Mqtt(Section):
    """The broker, and how the worker listens to it."""

    host: str = "127.0.0.1"
    """Name or address of the MQTT broker."""
    port: Port = 1883
    """Port of the MQTT broker."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """MQTT version; auto tries 5 and falls back to 3.1.1 where the broker does not speak it."""
    username: str = ""
    """Name the worker signs in with; empty means an anonymous connection."""
    password_file: str = ""
    """File holding the password; the environment variable HELMETWATCH_MQTT_PASSWORD comes first."""
    tls: Tls = Tls()
    keepalive_s: Annotated[int, Field(ge=4, le=3600)] = 30
    """Seconds of silence after which client and broker ask each other for a sign of life."""
    session_expiry_s: Annotated[int, Field(ge=60)] = 86400
    """Seconds the broker keeps our queue while we are away."""
    receive_maximum: Annotated[int, Field(ge=1, le=65535)] = 2000
    """Most unacknowledged messages the broker may send us (MQTT 5)."""
    maximum_packet_size: Annotated[int, Field(ge=1024, le=268435455)] = 65536
    """Largest message in bytes the broker may send us (MQTT 5)."""
    watch_drops: bool = True
    """Follow the broker's own count of dropped messages ($SYS); off for brokers that cannot bear the question."""
    queue_size: Annotated[int, Field(ge=100)] = 10000
    """Most messages held between the network thread and the detector; a full queue slows the broker."""
    queue_mb: Annotated[int, Field(ge=1)] = 64
    """Most megabytes of them."""


class Journal(Section):
    """The worker's durable memory between acknowledgement and delivery."""

    path: str = "data/journal.db"
    """SQLite file; one worker each."""
    # At least 10 s of riding before an impact, 10 s until the last decision about it, and what comes late.
    raw_s: Annotated[float, Field(ge=25, le=300)] = 30.0
    """Seconds of raw frames kept, so that a restart resumes every open incident exactly."""
    max_mb: Annotated[int, Field(ge=16)] = 2048
    """Most telemetry waiting for the store; beyond it the oldest goes, raw samples last, counted, never a detection."""


class Ingest(Section):
    """From the broker to the journal."""

    worker: str = "worker-1"
    """Name of this worker; its MQTT client id is helmetwatch-NAME."""
    shards: str = "00-ff"
    """Shards of the topic space this worker owns, as ranges of two hex digits: 00-7f,a0."""
    mqtt: Mqtt = Mqtt()
    journal: Journal = Journal()
    tick_ms: Annotated[int, Field(ge=5, le=1000)] = 50
    """Milliseconds between two turns of drain, detect, commit, acknowledge."""
    future_s: Annotated[float, Field(gt=0)] = 60.0
    """Frames and events dated further than this in the future get the time of their arrival."""
    ancient_h: Annotated[float, Field(gt=0)] = 24.0
    """Frames older than this are stored as telemetry but never alert."""
    events_per_min: Annotated[int, Field(ge=1)] = 60
    """Most events of one helmet in a minute, as many at once; more are rejected and counted, an SOS never."""
    helmets_max: Annotated[int, Field(ge=1)] = 100000
    """Most helmets followed at once; beyond it the one silent for longest is forgotten."""
    report_s: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two reports of the worker to the desk."""
    desk_url: str = "http://127.0.0.1:8080"
    """Where the alert desk listens."""
    heartbeat_url: HttpUrl = ""
    """Address asked every heartbeat_s while worker and desk work; who runs it raises the alarm when that stops."""
    heartbeat_s: Annotated[float, Field(ge=1)] = 30.0
    """Seconds between two signs of life to heartbeat_url."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9101
    """Port of the worker's /metrics, /healthz and /readyz on the loopback address; 0 turns them off."""


class Detection(Section):
    """What counts as a crash; the defaults are the ones measured in docs/detection.md."""

    gate_g: Annotated[float, Field(ge=1.5, le=6)] = 2.3
    """Resultant from which a sample is looked at more closely."""
    strike_g: Annotated[float, Field(ge=6, le=40)] = 12.0
    """Peak resultant of a head strike: road shocks stay below, also on a vehicle without suspension."""
    strike_dv20_mps: Annotated[float, Field(gt=0, le=5)] = 1.2
    """Change of velocity within 20 ms of a head strike."""
    fall_violence_g: Annotated[float, Field(gt=0, le=2)] = 0.6
    """Violence of a fall, the RMS of resultant minus 1 g within 0.3 s of the peak; lying down stays below."""
    hard_violence_g: Annotated[float, Field(gt=0, le=4)] = 0.9
    """Violence from which tilt within a second is believed."""
    tilt_deg: Annotated[float, Field(gt=20, lt=180)] = 50.0
    """Turn of the gravity direction, before against after, of somebody who fell."""
    upright_deg: Annotated[float, Field(gt=5, lt=60)] = 30.0
    """Turn below which a helmet counts as upright as before."""
    riding_mps: Annotated[float, Field(gt=0, le=10)] = 2.2
    """Speed from which a helmet rides (8 km/h); walking is slower."""
    riding_vibration_g: Annotated[float, Field(gt=0, le=1)] = 0.06
    """RMS of the resultant above 1 Hz from which a helmet rides, where speed is unknown and nobody walks."""
    alert_points: Annotated[float, Field(gt=0, le=10)] = 3.0
    """Sum of the evidence from which there is an alert."""
    join_s: Annotated[float, Field(ge=1, le=120)] = 30.0
    """A new impact within this time of the last belongs to the same incident."""
    silence_s: Annotated[float, Field(ge=1, le=60)] = 3.0
    """A helmet silent for this long after an impact is judged by what it has sent."""
    burst_alerts: Annotated[int, Field(ge=10)] = 200
    """More new incidents than this within 10 s (or 2 % of the fleet) are a fault; only severe ones pass then."""
    late_s: Annotated[float, Field(gt=0)] = 5.0
    """Impacts older than this on arrival alert as late."""
    reminders: bool = False
    """Remind who rides without the helmet on, and file it for the desk; off, since it watches people, not crashes."""


class Embedded(Section):
    """The embedded telemetry store."""

    path: str = "data/telemetry.db"
    """SQLite file of the embedded store."""
    retention_days: Annotated[float, Field(gt=0)] = 14.0
    """Days after which telemetry is deleted."""
    samples_days: Annotated[float, Field(gt=0)] = 3.0
    """Days after which raw samples are deleted; keep it short, they show a person's movements."""
    max_mb: Annotated[int, Field(ge=16)] = 20480
    """Most room the store takes; beyond it the oldest telemetry goes first, counted."""


class Influx(Section):
    """InfluxDB 2.x, 3 or a compatible server, by the v2 write API."""

    url: str = ""
    """Address of the server, for example http://127.0.0.1:8086."""
    org: str = ""
    """Organisation."""
    bucket: str = "helmetwatch"
    """Bucket."""
    samples_bucket: str = ""
    """Bucket for raw samples, with a shorter retention of its own; empty puts them into the same one."""
    token_file: str = ""
    """File holding the token; the environment variable HELMETWATCH_INFLUX_TOKEN comes first."""
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds after which a write is tried again."""


class Storage(Section):
    """Where telemetry goes."""

    kind: Literal["embedded", "influxdb"] = "embedded"
    """The embedded store needs no server; influxdb needs the section below."""
    embedded: Embedded = Embedded()
    influxdb: Influx = Influx()
    batch_rows: Annotated[int, Field(ge=1, le=100000)] = 1000
    """Most rows in one write; building a larger one holds up what comes in meanwhile."""
    drain_factor: Annotated[float, Field(ge=2, le=100)] = 2.0
    """A backlog goes at most so many times as fast as rows come in, plus 2,000 rows a second."""


class Alerts(Section):
    """The life of an alert."""

    path: str = "data/alerts.db"
    """SQLite file of the alert book."""
    countdown_s: Annotated[float, Field(ge=15, le=90)] = 30.0
    """Seconds the rider has to say "I'm OK" before an unconfirmed alert opens."""
    riders_file: str = ""
    """CSV file with the columns helmet,name,phone,first_aid: who rides which helmet; empty means nobody is known."""
    places_file: str = ""
    """CSV file with the columns kind,name,lat_deg,lon_deg,phone,note: rider stations and AEDs."""
    retention_days: Annotated[float, Field(ge=0)] = 730.0
    """Days after which a closed alert forgets whose it was (rider, place, trace, texts) and only counts; 0: never."""
    riding_days: Annotated[float, Field(ge=0)] = 31.0
    """Days for which the hours a helmet was ridden are kept, with and without it on; 0 keeps none."""
    channels: tuple[Channel, ...] = ()
    """Ways to tell people who do not look at the page; docs/channels.md has one of each kind."""
    escalation_file: str = ""
    """YAML file that says who is told when (docs/escalation.md); empty tells every channel, again and again."""
    public_url: HttpUrl = ""
    """Address of the page as people reach it; links in notifications begin with it; empty sends none."""

    @field_validator("channels")
    @classmethod
    def _names_differ(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        names = [channel.name for channel in channels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two channels have the name {', '.join(twice)}")
        return channels


class Web(Section):
    """The desk's address and page."""

    host: str = "127.0.0.1"
    """Address the desk listens on; anything but loopback needs a TLS proxy in front."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port the desk listens on; 0 picks a free one."""
    token_file: str = ""
    """File with the token workers sign in with; the variable HELMETWATCH_DESK_TOKEN comes first."""
    session_h: Annotated[float, Field(gt=0)] = 12.0
    """Hours after which a person has to sign in again."""
    heartbeat_url: HttpUrl = ""
    """Address asked every heartbeat_s while the desk is ready; another than the worker's, so that each is missed."""
    heartbeat_s: Annotated[float, Field(ge=1)] = 30.0
    """Seconds between two signs of life to heartbeat_url."""
    tiles_url: str = ""
    """Address pattern of map tiles with {z}/{x}/{y}; empty draws positions on a plain grid."""
    tiles_datum: Literal["wgs84", "gcj02"] = "wgs84"
    """Datum of these tiles: Chinese services draw in GCJ-02; marks are moved to fit, what is stored stays WGS-84."""
    tiles_attribution: str = ""
    """Line below the map that names whose tiles they are; for openstreetmap.org it is there by itself."""


class Time(Section):
    """For replays and tests: a clock that runs faster."""

    scale: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """How many times as fast as the machine's clock time runs; anything but 1 is for replays and tests."""
    origin_us: Annotated[int, Field(ge=0)] = 0
    """The moment, in microseconds since 1970, at which the faster clock agreed with the machine's."""


class Config(Section):
    """The whole configuration."""

    ingest: Ingest = Ingest()
    detectors: Detection = Detection()
    storage: Storage = Storage()
    alerts: Alerts = Alerts()
    web: Web = Web()
    time: Time = Time()


def load(path: Path | None) -> Config:
    """Reads a configuration file; None gives the defaults.

    Relative paths in it are taken from the folder the command runs in.
    Raises `ConfigError` with every fault in the file.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None
    return parse(text, name=path.name)


def parse(text: str, name: str = "config.yaml") -> Config:
    """Makes a `Config` of YAML text, or raises `ConfigError` with every fault and its line."""
    return yaml_file.read(Config, text, name)[0]


def secret(variable: str, file: str) -> str:
    """A secret from the environment or else from a file; empty where neither is set.

    Raises `ConfigError` where the file is named but cannot be read.
    """
    value = os.environ.get(variable)
    if value is not None:
        return value.strip()
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            [f"the secret in {file} (instead of ${variable}) cannot be read: {error}"]
        ) from None


def render(model: type[Section] = Config, indent: str = "") -> str:
    """The shipped `config.yaml`: every option with its sentence and its default."""
    out = []
    for name, info in model.model_fields.items():
        default = info.default
        if isinstance(default, Section):
            doc = (type(default).__doc__ or "").strip().splitlines()[0]
            out.append(f"{indent}# {doc}\n{indent}{name}:\n{render(type(default), indent + '  ')}")
        else:
            plain = list(default) if isinstance(default, tuple) else default
            value = yaml.safe_dump(plain, default_flow_style=True).removesuffix("...\n").strip()
            out.append(f"{indent}# {info.description}\n{indent}{name}: {value}\n")
    return "\n".join(out) if indent == "" else "".join(out)
