"""The named scenarios that the emulated sensors play: fixed episodes, told in seconds."""

from dataclasses import dataclass, replace
from typing import Final

from firedetect.errors import ConfigError
from firedetect.simulation.episodes import Episode
from firedetect.simulation.families import NUISANCES, draw_episode, family_names
from firedetect.simulation.fires import FIRES
from firedetect.simulation.stage import Choice

_SEPARATOR: Final = ":"
_EMULATED: Final = Choice(
    lens="narrow", co2=False, air=False, films=True, commissioned=False, in_view=True
)
"""The sensors on the emulated bus; its clean-air baseline is learnt in the first minute."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named episode: what happens, and for how long it is worth watching."""

    name: str
    summary: str
    duration_s: float
    family: str
    seed: int
    choice: Choice

    def build(self, lens: str = "narrow") -> Episode:
        """Return the episode as an array behind this lens sees it; places vary with the lens."""
        return draw_episode(self.family, (self.seed,), replace(self.choice, lens=lens))


def _fixed(
    family: str, seed: int, lead_s: float, *, people: bool | None = None
) -> tuple[str, int, Choice]:
    return family, seed, replace(_EMULATED, lead_s=lead_s, ambient_c=21.5, people=people)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "quiet-room", "nobody there, nothing happens", 120.0, *_fixed("quiet-room", 98, 60)
        ),
        Scenario("people", "people walk about and sit down", 120.0, *_fixed("people", 2, 20)),
        Scenario(
            "kettle", "a kettle is switched on at 15 s and boils", 150.0, *_fixed("kettle", 1, 15)
        ),
        Scenario("candle", "a candle is lit at 15 s", 120.0, *_fixed("candles", 1, 15)),
        Scenario(
            "waste-bin",
            "a bin catches fire at 15 s in view of the array",
            90.0,
            *_fixed("small", 4, 15, people=False),
        ),
        Scenario(
            "smoulder",
            "upholstery glows out of view from 70 s on: gas, no heat",
            400.0,
            *_fixed("smoulder-hidden", 1, 70),
        ),
    )
}
"""What `firedetect simulate list` shows."""


def find_scenario(name: str) -> Scenario:
    """Return a named scenario, or `family:seed` of the generator as one; raises ConfigError."""
    known = SCENARIOS.get(name)
    if known is not None:
        return known
    family, separator, seed = name.partition(_SEPARATOR)
    if not separator or not seed.isdecimal() or family not in (*FIRES, *NUISANCES):
        raise ConfigError(
            f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}; or FAMILY:SEED with a "
            f"family of {', '.join(family_names())}"
        )

    episode = draw_episode(family, (int(seed),), _EMULATED)
    cause, lasts_s = episode.happening.cause, episode.duration_s - 1.0
    return Scenario(name, cause, lasts_s, family, int(seed), _EMULATED)
