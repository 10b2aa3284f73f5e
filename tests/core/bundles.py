"""Small bundles for tests: the hotter the first column, the surer the fire."""

from functools import cache

import numpy as np
import xgboost

from firedetect.features.vector import COLUMNS, SCHEMA_ID
from firedetect.model.bundle import write_bundle
from firedetect.model.forest import parse_forest
from firedetect.model.manifest import Canary, Golden, Manifest, to_row
from firedetect.model.probes import probe_rows

WIDTH = len(COLUMNS)


def row(first):
    return tuple([first] + [None] * (WIDTH - 1))


@cache
def trained(boundary=0.0):
    """Model and manifest of a model that calls a first column above `boundary` a fire."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-4.0, 4.0, size=(600, WIDTH)).astype(np.float32)
    x[:, 1:][rng.random((600, WIDTH - 1)) < 0.15] = np.nan
    y = (x[:, 0] > boundary).astype(np.float32)
    parameters = {"objective": "reg:logistic", "base_score": 0.5, "max_depth": 2, "nthread": 1}
    data = xgboost.DMatrix(x, y, feature_names=list(COLUMNS), nthread=1)
    booster = xgboost.train(parameters, data, 15)
    model = bytes(booster.save_raw("ubj"))
    rows = probe_rows(parse_forest(model, COLUMNS), 16, seed=0)
    matrix = xgboost.DMatrix(rows, feature_names=list(COLUMNS), nthread=1)
    margins = booster.predict(matrix, output_margin=True)
    manifest = Manifest(
        name="test",
        version="1.0.0",
        schema_id=SCHEMA_ID,
        features=COLUMNS,
        training_data_sha256="0" * 64,
        golden=Golden(
            rows=tuple(to_row(values) for values in rows),
            margins=tuple(float(margin) for margin in margins),
        ),
        canary=Canary(fire=row(boundary + 2.0), quiet=row(boundary - 2.0)),
    )
    return model, manifest


def make_bundle(folder, version="1.0.0", boundary=0.0, seed=0):
    """Write a bundle; another seed gives another content of the same version."""
    model, manifest = trained(boundary)
    return write_bundle(
        folder, model, manifest.model_copy(update={"version": version, "seed": seed})
    )
