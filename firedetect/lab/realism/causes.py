"""Why a check is known to be outside, in a plain sentence, by the name of the check."""

from typing import Final

_SHUT: Final = (
    "A fire in a shut room is let shrink to nothing once it has used 600 kJ of air per m3; the "
    "real burners went on through leaks."
)
_PEAK: Final = (
    "The library cuts a fire's peak at 60 kW per m2 of floor, since a room that burns more is "
    "lost; the real items burned freely under a hood."
)
_SLOW: Final = (
    "The library's slowest fires are a little faster than the slowest real items: what does not "
    "reach its peak within the 400 s of a run is not seen whole."
)
_STRONG: Final = (
    "Half of the real substances hardly moved the board from its start, a few moved it as solvents "
    "do: the generator's odours come near to that, not for every film."
)
_LEVEL: Final = (
    "Follows from starts, odours and drift together: a film stays higher for longer than real ones."
)
_FALLS: Final = (
    "Real boards now and then fall after their start, their odour having been there before; of the "
    "generator's odours one in seventeen goes away."
)
_EARLY: Final = (
    "When a real odour was brought near is not told; the generator draws when, and how slowly an "
    "odour builds up."
)
_BEFORE: Final = (
    "Some of the generator's odours are there before a recording begins and lift its start."
)
_DRIFT: Final = (
    "Drift is a straight line, drawn per film; real films also rise and fall with their odour."
)
_SWING: Final = (
    "A quarter of the generator's rooms swing by heating every few minutes by up to 0.7 K; the one "
    "real home swung less, measured once a minute in steps of 0.02 K."
)
_WALKS: Final = (
    "People of the generator walk slowly about one place with a skin near 33 °C; in the real set "
    "they act, come close and leave the picture."
)
_THICK: Final = (
    "How fast the real ones grew is not known. At known heat (gas burners) the same ceiling jet is "
    "right within a fifth, so these homes either burned slower than medium to fast growth says, or "
    "lost heat to open rooms and furniture that the generator's bedrooms do not have."
)
_COTTON: Final = (
    "The course and the yield of CO are drawn about those of the table, and the zone model "
    "gathers all of it in a layer thinner than half of the room."
)

CAUSES: Final[dict[str, str]] = {
    "bedroom fire: +5 K": _THICK,
    "bedroom fire: +10 K": _THICK,
    "bedroom fire: 57 °C": _THICK,
    "bedroom fire: 8.3 K/min over 30 s": _THICK,
    "bedroom fire: CO 30 ppm": (
        "How badly things burn at first is drawn, one to nine times the CO of free air; the median "
        "comes a fraction of a second too late."
    ),
    "bedroom fire: CO2 +200 ppm": (
        "Not sure: the generator brings the layer's gas to the detector within seconds, the real "
        "analysers drew theirs through a line, and three tests are few."
    ),
    "alpha of flaming fires, 10 %": _SLOW,
    "alpha of flaming fires, 25 %": _SLOW,
    "peak of flaming fires, 25 %": _PEAK,
    "peak of flaming fires, 50 %": _PEAK,
    "peak of flaming fires, 75 %": _PEAK,
    "peak of flaming fires, 90 %": _PEAK,
    "5 to 25 kW, 50 %": (
        "The library holds smaller fires than the real items, and every fire of it begins as a "
        "parabola; real ones jump to 25 kW between two samples."
    ),
    "TF2: CO at its end": _COTTON,
    "TF3: CO at its end": _COTTON,
    "TF6: peak heat": (
        "80 to 100 kW do not reach the 60 K that end this test within its window, by the zone "
        "model and by Alpert's jet alike; 140 to 170 kW do."
    ),
    "people in view: largest step of the maximum": _WALKS,
    "people in view: hottest pixel": _WALKS,
    "people in view: coldest pixel": "Rooms of the generator have windows and pipes in view.",
    "no2: all counts, 50 %": _LEVEL,
    "no2: all counts, 99 %": _LEVEL,
    "c2h5oh: all counts, 50 %": _LEVEL,
    "c2h5oh: all counts, 99 %": _LEVEL,
    "voc: all counts, 50 %": _LEVEL,
    "voc: all counts, 99 %": _LEVEL,
    "co: all counts, 50 %": _LEVEL,
    "co: all counts, 99 %": _LEVEL,
    "no2: largest answer, 5 %": _FALLS,
    "c2h5oh: largest answer, 5 %": _FALLS,
    "voc: largest answer, 5 %": _FALLS,
    "co: largest answer, 5 %": _FALLS,
    "no2: largest answer, 50 %": _STRONG,
    "c2h5oh: largest answer, 50 %": _STRONG,
    "voc: largest answer, 50 %": _STRONG,
    "co: largest answer, 50 %": _STRONG,
    "no2: largest answer, 95 %": _STRONG,
    "c2h5oh: largest answer, 95 %": _STRONG,
    "voc: largest answer, 95 %": _STRONG,
    "co: largest answer, 95 %": _STRONG,
    "no2: 63 % of a rise": _EARLY,
    "c2h5oh: 63 % of a rise": _EARLY,
    "voc: 63 % of a rise": _EARLY,
    "co: 63 % of a rise": _EARLY,
    "no2: drift, 50 %": _DRIFT,
    "c2h5oh: drift, 50 %": _DRIFT,
    "voc: drift, 50 %": _DRIFT,
    "co: drift, 50 %": _DRIFT,
    "all films: drift, 5 %": _DRIFT,
    "all films: drift, 95 %": _DRIFT,
    "no2: start, 95 %": _BEFORE,
    "co: start, 50 %": _BEFORE,
    "voc: start, 95 %": _BEFORE,
    "c2h5oh: start, 50 %": (
        "Counts are drawn between the quantiles of 323 recordings, of which these are 250."
    ),
    "co: start, 5 %": "Boards start a count or two lower than the lowest of those that are known.",
    "co: all counts, 1 %": "Boards start lower than the lowest of those that are known.",
    "all films: noise, 50 %": (
        "Noise is drawn before rounding; after it the generator's boards are as quiet as the "
        "quietest half of the real ones."
    ),
    "all films: noise, 95 %": (
        "One board in twelve has more noise than the others, two and a half times as much."
    ),
    "all films: glitches": (
        "This part of the set has none. Single samples up to 965 counts off are in other parts of "
        "it, and the generator keeps them."
    ),
    "breath: answer of the CO film": (
        "The real element was breathed on from a hand's breadth; the generator's breath reaches "
        "a board on a ceiling or a wall, thinned ten times at most."
    ),
    "breath answers more than candles": (
        "Breath is thin at the generator's boards, and candles come with the drift of the film."
    ),
    "CO2 of a room, 95 %": (
        "A quiet room of the generator is empty; in the real home people were there at night."
    ),
    "CO2 of a room, 50 %": "A quiet room of the generator is empty, the real home was lived in.",
    "CO2 of a room, 5 %": "The generator's rooms are empty and start near outdoor air.",
    "gathering: CO2": "Parties are drawn up to the 3,500 ppm of domain 1.11, the home had none.",
    "people: CO2 rises": (
        "The generator's rooms hold one to six people, the home one or two; few draws move the "
        "median."
    ),
    "candles: answer of the VOC film": (
        "A puff of vapour stands for lighting and blowing out; the home's sensor told one value a "
        "minute and saw less. Its vapour and a film have no common scale."
    ),
    "room's swing in 20 min, 50 %": _SWING,
    "room's swing in 20 min, 95 %": _SWING,
    "door closed, 120 s: layer": _SHUT,
    "door closed, 120 s: jet": _SHUT,
    "door closed, 300 s: layer": _SHUT,
    "door closed, 300 s: jet": _SHUT,
    "candle, narrow lens": (
        "The table gives all of the flame to one pixel; at 1 m a flame of 4 cm is taller than a "
        "pixel of 2.5 cm, and the image shows that."
    ),
}
