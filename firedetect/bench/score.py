"""One row to its margin, against xgboost itself and what others make of its models."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnxruntime
import tl2cgen
import treelite
import xgboost
from numpy.typing import NDArray
from onnxmltools.convert import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from firedetect.bench.material import rows
from firedetect.bench.quiet import without_output
from firedetect.bench.rounds import Comparison, in_turn
from firedetect.errors import BenchError
from firedetect.features.vector import COLUMNS
from firedetect.model.bundle import MODEL_FILE, default_bundle_path, load_bundle

_ROWS: Final = 1000
Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Peer:
    """Scores a row, shape (1, 27); some can only say the probability."""

    name: str
    call: Callable[[Row], Any]
    says_probability: bool = False


def score() -> Iterator[Comparison]:
    """Compare the forest of the default bundle, on complete rows, then without CO2 and air."""
    forest = load_bundle(default_bundle_path()).forest
    model = default_bundle_path() / MODEL_FILE
    with TemporaryDirectory() as folder:
        peers = [*_xgboost(model), _onnxruntime(model), _tl2cgen(model, Path(folder))]
        for missing, kind in ((False, ""), (True, ", rows with NaN")):
            known = rows(_ROWS, missing=missing)
            for peer in peers:
                yield _against(forest.margin, peer, known, kind)


def _against(ours: Callable[[Row], float], peer: _Peer, known: Row, kind: str) -> Comparison:
    wanted = np.array([ours(row) for row in known])
    if peer.says_probability:
        wanted = 1.0 / (1.0 + np.exp(-wanted))
    found = np.array([float(np.ravel(peer.call(row[None]))[-1]) for row in known])
    equal = 100.0 * float(np.mean(wanted.astype(np.float32) == found.astype(np.float32)))
    apart = float(np.abs(wanted - found).max())
    what = "probabilities" if peer.says_probability else "margins"
    singles = [row[None] for row in known]
    times = in_turn(lambda k: ours(known[k % _ROWS]), lambda k: peer.call(singles[k % _ROWS]))
    agreement = f"{equal:.0f} % of {_ROWS} {what} bit-equal, at most {apart:.1e} apart"
    return times.comparison("score", peer.name + kind, agreement)


def _xgboost(model: Path) -> list[_Peer]:
    name = f"xgboost {xgboost.__version__}"
    booster = xgboost.Booster({"nthread": 1}, model_file=model)
    classifier: Any = xgboost.XGBClassifier(n_jobs=1)
    classifier.load_model(model)
    return [
        _Peer(
            f"{name} inplace_predict",
            lambda row: booster.inplace_predict(row, predict_type="margin"),
        ),
        _Peer(f"{name} predict_proba", classifier.predict_proba, says_probability=True),
    ]


def _onnxruntime(model: Path) -> _Peer:
    booster = xgboost.Booster(model_file=model)
    # The converter knows columns by number only.
    booster.feature_names = [f"f{k}" for k in range(len(COLUMNS))]
    graph = convert_xgboost(booster, initial_types=[("row", FloatTensorType([None, len(COLUMNS)]))])
    node = graph.graph.node[0]
    # For this objective the converter takes the base score, a probability, for a margin.
    kept = [attribute for attribute in node.attribute if attribute.name != "base_values"]
    del node.attribute[:]
    node.attribute.extend(kept)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return _Peer(
        f"onnxruntime {onnxruntime.__version__}", lambda row: session.run(None, {"row": row})[0]
    )


def _tl2cgen(model: Path, folder: Path) -> _Peer:
    if shutil.which("gcc") is None:
        raise BenchError("tl2cgen needs gcc: apt-get install build-essential")
    library = folder / "forest.so"
    with without_output():
        trees = treelite.frontend.from_xgboost(xgboost.Booster(model_file=model))
        tl2cgen.export_lib(
            trees, toolchain="gcc", libpath=library, params={"parallel_comp": 0}, verbose=False
        )
        predictor: Any = tl2cgen.Predictor(library, nthread=1)
    return _Peer(
        f"tl2cgen {version('tl2cgen')} (gcc)",
        lambda row: predictor.predict(tl2cgen.DMatrix(row), pred_margin=True),
    )
