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
    "Odours are drawn so that most of them move every film well; half of the real substances "
    "hardly moved the board from its start."
)
_LEVEL: Final = (
    "Follows from odours that are stronger than the real ones: counts stay higher for longer."
)
_FALLS: Final = (
    "Real boards now and then fall after their start, their odour having been there before; the "
    "generator's odours nearly always come."
)
_EARLY: Final = (
    "Odours of the generator begin a minute after the start or before it; the real ones were "
    "brought near at times not told, some late."
)
_DRIFT: Final = (
    "Drift is drawn alike for all films and as a straight line; real films differ and still rise "
    "with their odour at the end."
)
_SWING: Final = (
    "Half of the generator's rooms swing by heating every few minutes by up to 0.7 K; the one real "
    "home swung less, measured once a minute in steps of 0.02 K."
)
_WALKS: Final = (
    "People of the generator walk slowly about one place with a skin near 33 °C; in the real set "
    "they act, come close and leave the picture."
)
_THICK: Final = (
    "Not sure: with medium to fast growth the layer of a small bedroom warms sooner than in the "
    "real homes, whose rooms were open to others and held furniture that took up heat."
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
        "A flame in free air makes little CO; real bedding burned badly from its start, and how "
        "badly is drawn."
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
    "people in view: noise of a pixel": (
        "The drawn noise is that of the middle of the image; pixels towards the corners have up "
        "to twice as much, so that the median pixel is above it."
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
    "c2h5oh: start, 50 %": (
        "Counts are drawn between the quantiles of 323 recordings, of which these are 250."
    ),
    "co: start, 5 %": "Boards start a count or two lower than the lowest of those that are known.",
    "co: all counts, 1 %": "Boards start lower than the lowest of those that are known.",
    "all films: noise, 50 %": (
        "0.4 counts are drawn and then rounded to whole ones, which adds 0.29; the real 0.4 is "
        "what is left after rounding."
    ),
    "all films: noise, 95 %": (
        "Every board of the generator has the same noise; a twentieth of the real recordings has "
        "twice that of the others."
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
    "gathering: CO2, 95 %": (
        "What people breathe out is drawn for a room of 60 m3; in a small one it gets too much."
    ),
    "gathering: CO2": "Parties are drawn up to the 3,500 ppm of domain 1.11, the home had none.",
    "gathering below 40 m3: CO2": (
        "What people breathe out is drawn for a room of 60 m3; in a small one it gets too much."
    ),
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
