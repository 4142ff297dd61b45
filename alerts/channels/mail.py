"""E-mail by SMTP, from a thread of its own: the standard library's client waits."""

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import aiohttp

from alerts.channels.limits import Limit
from alerts.channels.outcome import Outcome, delivered, refused, retry, sending
from alerts.notices import Notice

TIMEOUT_S = 5.0
"""For each answer of the server."""
PATIENCE_S = 20.0
"""For a whole mail: a server that sends a word every few seconds never runs into the other limit."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail server, and who always gets its mails."""

    name: str
    host: str
    port: int
    tls: str
    username: str
    password: str
    sender: str
    to: tuple[str, ...]
    kind: str = "smtp"
    limits: tuple[Limit, ...] = (Limit(60, 60.0, kept=20),)
    _threads: ThreadPoolExecutor = field(default_factory=sending, repr=False, compare=False)

    async def send(self, notice: Notice, http: aiohttp.ClientSession, now_us: int) -> Outcome:  # noqa: ARG002
        """Tries once; a mail that only some recipients refuse is delivered, and the rest is told."""
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._send, message(self, notice))
        try:
            return await asyncio.wait_for(work, PATIENCE_S)
        except TimeoutError:
            return retry("timeout", f"The mail was not taken within {PATIENCE_S:.0f} s.")

    def _send(self, mail: EmailMessage) -> Outcome:
        try:
            with self._connect() as server:
                if self.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.username:
                    server.login(self.username, self.password)
                bounced = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            return _by_code(max((code for code, _ in error.recipients.values()), default=550))
        except smtplib.SMTPResponseException as error:
            return _by_code(error.smtp_code)
        except smtplib.SMTPNotSupportedError:
            return refused("smtp", "The server does not offer what alerts.channels asks for (TLS, sign-in).")
        except ssl.SSLCertVerificationError:
            return refused("tls", "The server's certificate cannot be trusted.")
        except TimeoutError:
            return retry("timeout", f"No answer within {TIMEOUT_S:.0f} s.")
        except (smtplib.SMTPException, OSError) as error:
            return retry("unreachable", f"The server cannot be reached ({type(error).__name__}).")
        if bounced:
            return Outcome(delivered().result, "250", f"{len(bounced)} recipients were refused.")
        return delivered("250")

    def _connect(self) -> smtplib.SMTP:
        if self.tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)


def message(channel: Mail, notice: Notice) -> EmailMessage:
    """The notice as a mail; a repeated one has the same Message-ID, which mail programs show once."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(notice.title.split())
    mail["From"] = channel.sender
    mail["To"] = ", ".join(dict.fromkeys([*channel.to, *(p.email for p in notice.people if p.email)]))
    mail["Date"] = format_datetime(datetime.fromtimestamp(notice.at_us / 1e6, UTC))
    mail["Message-ID"] = f"<{notice.id}@helmetwatch>"
    mail["Auto-Submitted"] = "auto-generated"
    if notice.critical:
        mail["X-Priority"] = "1"
    link = ("", f"认领 Acknowledge: {notice.url}") if notice.url else ()
    mail.set_content("\n".join((notice.title, "", *notice.lines, *link)) + "\n")
    return mail


def _by_code(code: int) -> Outcome:
    sentence = "The mail server asks to try later." if code < 500 else "The mail server refuses the mail."
    return (retry if code < 500 else refused)(str(code), sentence)
