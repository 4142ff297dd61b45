"""The options of the ways to tell people; `core.config` has all others."""

from typing import Annotated, Literal

from pydantic import Field

from core.section import Port, Section

ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class Robot(Section):
    """A group robot of DingTalk, WeCom or Feishu."""

    name: ChannelName
    """Name of the channel in the ledger, in policies and in the variables that hold its secrets."""
    kind: Literal["dingtalk", "wecom", "feishu"]
    """Whose robot it is."""
    url_file: str = ""
    """File with the robot's webhook address, itself a secret; HELMETWATCH_CHANNEL_NAME_URL comes first."""
    secret_file: str = ""
    """File with the signing secret; HELMETWATCH_CHANNEL_NAME_SECRET comes first; WeCom has none."""


class Mail(Section):
    """E-mail by SMTP."""

    name: ChannelName
    """Name of the channel."""
    kind: Literal["smtp"]
    """E-mail."""
    host: str
    """Mail server."""
    port: Port = 587
    """Port of the mail server."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the way to the mail server is encrypted; none is for a server on this machine."""
    username: str = ""
    """Name to sign in with; empty means without."""
    secret_file: str = ""
    """File with the password; HELMETWATCH_CHANNEL_NAME_SECRET comes first."""
    sender: str
    """Address the mails come from."""
    to: Annotated[tuple[str, ...], Field(min_length=1)]
    """Addresses that get every mail of this channel, beside the people a policy names."""


class Webhook(Section):
    """Signed CloudEvents to an address of yours: gateways for SMS and voice, pagers, work orders."""

    name: ChannelName
    """Name of the channel."""
    kind: Literal["webhook"]
    """A webhook."""
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Address that takes the events."""
    secret_file: str = ""
    """File with the signing secret, 16 characters or more; HELMETWATCH_CHANNEL_NAME_SECRET comes first."""


class Alertmanager(Section):
    """Prometheus Alertmanager, by its API v2."""

    name: ChannelName
    """Name of the channel."""
    kind: Literal["alertmanager"]
    """Alertmanager."""
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Address of the server, without /api/v2."""


class Apprise(Section):
    """Any of the services that the library apprise knows (the extra `helmetwatch[apprise]`)."""

    name: ChannelName
    """Name of the channel."""
    kind: Literal["apprise"]
    """Apprise: never the only way of a critical alert, as it does not see what a service answers."""
    url_file: str = ""
    """File with apprise's addresses, one a line, themselves secrets; HELMETWATCH_CHANNEL_NAME_URL comes first."""


Channel = Annotated[Robot | Mail | Webhook | Alertmanager | Apprise, Field(discriminator="kind")]
