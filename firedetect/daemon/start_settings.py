"""The settings that a start uses: a service whose file is damaged detects as it did before."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from firedetect.config import Settings, load_settings, parse_settings
from firedetect.errors import ConfigError, StorageError
from firedetect.storage.slots import Slots

TROUBLE: Final = "settings-file"
_COPY: Final = "settings-file"
_TEXT: Final = "toml"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StartSettings:
    """What to start with; `problem` says why it is not what the file says.

    `text` is what is to be kept for a start that finds the file damaged; None keeps what is there.
    """

    settings: Settings
    problem: str = ""
    text: str | None = None

    def keep(self, folder: Path) -> str:
        """Keep the text in the data folder if it is new there; return what stood in the way."""
        if self.text is None:
            return ""
        copies, body = Slots(folder, _COPY), {_TEXT: self.text}
        active = copies.active()
        if active is not None and active.body == body:
            return ""
        try:
            copies.propose(body)
            copies.confirm()
        except StorageError as error:
            return f"no copy could be kept: {error}"
        return ""


def start_settings(path: Path | None, *, service: bool) -> StartSettings:
    """Read the settings; raises ConfigError if they are refused, where a person can read it.

    A service has nobody to tell, and no sensing waits for a correction: it takes the settings with
    which it started well before, else those of the factory.
    """
    if not service or path is None:
        return StartSettings(load_settings(path))
    # What the environment says holds for every start; if that is wrong, there is no other.
    factory = load_settings()
    copies = _copies(factory.device.data_dir)
    try:
        settings = load_settings(path)
        text = path.read_text(encoding="utf-8")
        _refuse_remains(path, text, copies)
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        return _former(str(error), copies, factory)
    return StartSettings(settings, text=text)


def _copies(folder: Path) -> list[str]:
    texts = [slot.body.get(_TEXT) for slot in Slots(folder, _COPY).stored()]
    return [text for text in texts if isinstance(text, str) and text.strip()]


def _refuse_remains(path: Path, text: str, copies: list[str]) -> None:
    """Refuse what a power cut leaves of a file: it reads well, and has no siren any more."""
    begun = text.strip()
    if not begun:
        raise ConfigError(f"{path}: is empty")
    for copy in copies:
        whole = copy.strip()
        if len(begun) < len(whole) and whole.startswith(begun):
            raise ConfigError(
                f"{path}: ends where the last good one goes on; if that is meant, change a line too"
            )


def _former(refused: str, copies: list[str], factory: Settings) -> StartSettings:
    for text in copies:
        try:
            return StartSettings(
                parse_settings(text, "copy"), f"{refused}; uses the last good ones"
            )
        except ConfigError as error:
            _log.error("a copy of the settings cannot be used", error=str(error))
    return StartSettings(factory, f"{refused}; uses those of the factory: no siren, no cloud")
