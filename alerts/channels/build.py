"""From the configuration to senders; secrets come from files or the environment alone."""

from collections.abc import Iterable

from alerts.channels import robots
from alerts.channels.alertmanager import Alertmanager
from alerts.channels.mail import Mail
from alerts.channels.outcome import Sender
from alerts.channels.webhook import Webhook
from core import config
from core.config import ConfigError

SECRET_MIN = 16


def build(channels: Iterable[config.Channel]) -> dict[str, Sender]:
    """A sender for each configured channel, by name. Raises `ConfigError` with every fault."""
    senders: dict[str, Sender] = {}
    faults: list[str] = []
    for row, channel in enumerate(channels):
        try:
            senders[channel.name] = _sender(channel)
        except ConfigError as error:
            faults += [f"alerts.channels.{row} ({channel.name}): {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return senders


def _sender(channel: config.Channel) -> Sender:
    match channel:
        case config.Robot():
            url, key = _secret(channel.name, "URL", channel.url_file), _key(channel)
            if not url.startswith(("https://", "http://")):
                variable = _variable(channel.name, "URL")
                raise ConfigError([f"url_file (or ${variable}) must hold the robot's webhook address"])
            if channel.kind == "wecom":
                return robots.wecom(channel.name, url)
            make = robots.dingtalk if channel.kind == "dingtalk" else robots.feishu
            return make(channel.name, url, key)
        case config.Mail():
            return Mail(
                channel.name,
                channel.host,
                channel.port,
                channel.tls,
                channel.username,
                _key(channel),
                channel.sender,
                channel.to,
            )
        case config.Webhook():
            key = _key(channel)
            if len(key) < SECRET_MIN:
                variable = _variable(channel.name, "SECRET")
                raise ConfigError(
                    [f"secret_file (or ${variable}) must hold a secret of {SECRET_MIN} characters or more"]
                )
            return Webhook(channel.name, channel.url, key)
        case config.Apprise():
            return _apprise(channel.name, _secret(channel.name, "URL", channel.url_file))
        case config.Alertmanager():
            return Alertmanager(channel.name, channel.url)


def _apprise(name: str, urls: str) -> Sender:
    try:
        from alerts.channels.apprise import Apprise  # an extra, and half a second to load
    except ImportError:
        raise ConfigError(['needs the library apprise: pip install "helmetwatch[apprise]"']) from None
    addresses = tuple(line.strip() for line in urls.splitlines() if line.strip())
    if not addresses:
        variable = _variable(name, "URL")
        raise ConfigError([f"url_file (or ${variable}) must hold apprise's addresses, one a line"])
    return Apprise(name, addresses)


def _key(channel: config.Robot | config.Mail | config.Webhook) -> str:
    return _secret(channel.name, "SECRET", channel.secret_file)


def _secret(name: str, what: str, file: str) -> str:
    return config.secret(_variable(name, what), file)


def _variable(name: str, what: str) -> str:
    return f"HELMETWATCH_CHANNEL_{name.upper().replace('-', '_')}_{what}"
