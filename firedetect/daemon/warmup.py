"""Compiles every kernel before the detector says that it is ready."""

import numpy as np
from numpy.typing import NDArray

from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.mlx90640 import USUAL_CONTROL, SceneSource
from firedetect.features.vector import COLS, COLUMNS, ROWS
from firedetect.model.guard import GuardedModel, RowScorer
from firedetect.pipeline import Pipeline
from firedetect.readings import GasCounts, Sensor, SensorOpened, SubPage, ThermalImage
from firedetect.sensors.decode import Decoder

NS_PER_S = 1_000_000_000


def warm_kernels(scorer: RowScorer | None) -> None:
    """Run a throw-away pipeline over made-up readings: the first real one finds all code."""
    pipeline = Pipeline(scorer)
    # Only a score that raises the level is explained, and then there is no time to compile.
    GuardedModel(scorer).explain(np.full(len(COLUMNS), np.nan))
    image = np.full((ROWS, COLS), 21.0, dtype=np.float32)
    image[3:6, 3:6] = 90.0
    for step in range(60):
        t_ns = step * NS_PER_S // 4
        events = (GasCounts(t_ns, 40.0, 70.0, 90.0, 760.0), ThermalImage(t_ns, image, 21.0))
        for _ in pipeline.run(events):
            pass
    _warm_decoder(image)
    large = np.full((120, 160), 21.0, dtype=np.float32)
    for _ in pipeline.run([ThermalImage(60 * NS_PER_S, large, 21.0)]):
        pass


def _warm_decoder(image: NDArray[np.float32]) -> None:
    eeprom = encode_eeprom(typical_terms())
    source = SceneSource(eeprom, lambda _t_s: image)
    decoder = Decoder()
    decoder.feed(SensorOpened(0, Sensor.THERMAL, 0.0, eeprom=eeprom))
    for count in range(2):
        page, words = source(count, 0.0, USUAL_CONTROL)
        frame = np.concatenate([words, np.array([USUAL_CONTROL, page], dtype=np.uint16)])
        decoder.feed(SubPage(count * NS_PER_S // 8, frame))
