"""How the way to the broker is encrypted."""

import ssl

from core.config import Tls


def context(tls: Tls) -> ssl.SSLContext | None:
    """What to connect with; None where the connection is not encrypted. Raises `OSError` for a file it cannot use."""
    if not tls.enabled:
        return None
    try:
        made = ssl.create_default_context(cafile=tls.ca_file or None)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert_file:
            made.load_cert_chain(tls.cert_file, tls.key_file or None)
    except OSError as error:
        # Python's own says what is wrong, not with which file.
        files = ", ".join(file for file in (tls.ca_file, tls.cert_file, tls.key_file) if file)
        raise OSError(f"{files}: {error}") from None
    return made
