"""Hot places are remembered over a restart, and no content of a disk ends the start."""

import json

import numpy as np
import pytest

from firedetect.clock import CLOCK_SET_S, NS_PER_S
from firedetect.daemon.hot_places import FILE, load_hot_places

DAMAGES = [
    "", "[]", "{}", "[" * 100_000, '{"watched_days": "x"}',
    '{"watched_days": 1, "watched": 1, "pixels": [[99999, 1, 1, 1.0]]}',
    '{"watched_days": 1, "watched": 1, "pixels": [[1, 99999999999999, 1, 1.0]]}',
    '{"watched_days": 1, "watched": 1, "pixels": [[1, 2]]}',
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGES)
def test_a_damaged_memory_is_learnt_anew(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert load_hot_places(tmp_path).watched_days == 0


def test_a_good_memory_is_read(tmp_path):
    hot = np.full((24, 32), 90.0, np.float32)
    places = load_hot_places(tmp_path)
    for second in range(2):
        places.image(hot, (CLOCK_SET_S + second) * NS_PER_S)
    (tmp_path / FILE).write_text(json.dumps(places.as_record()))
    assert load_hot_places(tmp_path).as_record() == places.as_record()
