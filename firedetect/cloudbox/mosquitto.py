"""mosquitto as the box wants it: where it is, the command that starts it, its configuration."""

import getpass
import os
import shutil
from pathlib import Path
from typing import Final

from firedetect.cloudbox.authority import Credentials
from firedetect.errors import BoxError

PAYLOAD_LIMIT: Final = 128 * 1024
"""As on AWS IoT Core."""
_PACKET_LIMIT: Final = 146 * 1024
_SYSTEM_PATH: Final = "/usr/sbin:/usr/local/sbin"


def mosquitto_path() -> str | None:
    """Return where mosquitto is, None if it is not installed."""
    # Debian puts it where only root's PATH looks.
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM_PATH)


def mosquitto_command() -> list[str]:
    """Return what starts mosquitto so that the kernel ends it with us; raises BoxError."""
    mosquitto = mosquitto_path()
    if mosquitto is None:
        raise BoxError("mosquitto is missing; type: sudo apt-get install mosquitto")
    guard = shutil.which("setpriv")
    return [mosquitto] if guard is None else [guard, "--pdeathsig", "TERM", mosquitto]


def configuration(
    folder: Path, address: tuple[str, int], server: Credentials, rights: Path, *, durable: bool
) -> str:
    """Return its configuration file: sessions in `folder`, one TLS listener, rights by name."""
    host, port = address
    lines = [
        # Started by root it would become another user, who cannot read the keys.
        f"user {getpass.getuser()}",
        f"listener {port} {host}",
        f"cafile {server.ca}",
        f"certfile {server.certificate}",
        f"keyfile {server.key}",
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {rights}",
        "set_tcp_nodelay true",
        # The default of 1000 drops messages after they were acknowledged.
        "max_queued_messages 0",
        # What waits for a slow function must not hold up the answers about shadows.
        "max_inflight_messages 1000",
        f"message_size_limit {PAYLOAD_LIMIT}",
        f"max_packet_size {_PACKET_LIMIT}",
        "persistence true",
        f"persistence_location {folder}{os.sep}",
        f"autosave_on_changes {str(durable).lower()}",
        f"autosave_interval {1 if durable else 60}",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        "connection_messages false",
    ]
    return "\n".join(lines) + "\n"
