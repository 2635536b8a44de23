"""Write the model files of a release, which all later versions must load with the same scores.

    python tests/models/make.py FOLDER

writes a model, the rows that it scores and their scores for each kind of model, and the model as
ONNX if it can be converted. Files of earlier releases are never written again: at a release, name a
new folder after it.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from vae_anomaly import (
    AlarmCost,
    CalendarEncoder,
    ConformalDetector,
    FixedThresholdDetector,
    OneClassKFold,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    WindowedDetector,
    save,
    to_onnx,
)

NOT_IN_ONNX = ("pipeline", "windowed")  # dates, and windows of series

SMALL = {"hidden_layer_sizes": (6,), "latent_dim": 2, "max_iter": 5, "random_state": 0}


def detector(**parameters):
    return VAEAnomalyDetector(**(SMALL | parameters))


def encoder(input_shape, latent_dim):
    x = keras.Input(input_shape)
    hidden = keras.layers.LayerNormalization()(keras.layers.Dense(6, "gelu")(x))
    return keras.Model(x, [keras.layers.Dense(latent_dim)(hidden) for _ in range(2)])


def make_models():
    """Return the fitted models and rows to score, by name."""
    rng = np.random.RandomState(0)
    t = rng.uniform(0, 6, size=150)
    numbers = pd.DataFrame({"a": t, "b": np.sin(t), "c": np.cos(t), "d": t**2})
    numbers += 0.05 * rng.standard_normal(numbers.shape)
    table = numbers.mask(rng.uniform(size=numbers.shape) < 0.02)
    table["kind"] = pd.Categorical(np.where(t < 2, "low", np.where(t < 4, "middle", "high")))
    table["side"] = pd.Categorical(np.where(t < 3, "left", "right"))
    dated = numbers.assign(time=pd.Timestamp("2013-01-01") + pd.to_timedelta(t, unit="D"))
    shares = (numbers - numbers.min()) / (numbers.max() - numbers.min())
    samples = np.sin(np.arange(24) + rng.uniform(0, 6, size=(150, 1)))
    samples = pd.DataFrame(samples).add_prefix("x")
    is_outlier = np.arange(150) >= 140
    calendar = make_column_transformer((CalendarEncoder(), ["time"]), remainder="passthrough")
    one_hot = OneHotEncoder(sparse_output=False)
    encoded = make_column_transformer((one_hot, ["kind", "side"]), remainder=StandardScaler())
    models = {
        "dense": (detector(), numbers),
        "table": (detector(), table),
        "gaussian": (detector(reconstruction_loss="gaussian"), table),
        "binary_crossentropy": (detector(reconstruction_loss="binary_crossentropy"), shares),
        "autoencoder": (detector(variational=False), numbers),
        "conv1d": (detector(architecture="conv", input_shape=(8, 3)), samples),
        "conv2d": (detector(architecture="conv", input_shape=(4, 3, 2)), samples),
        "lstm": (detector(architecture="lstm", input_shape=(8, 3)), samples),
        "gru": (detector(architecture="gru", input_shape=(8, 3)), samples),
        "own_encoder": (detector(encoder=encoder), numbers),
        "columns": (make_pipeline(encoded, detector()), table),
        "pipeline": (make_pipeline(calendar, StandardScaler(), detector()), dated),
        "fixed": (FixedThresholdDetector(detector(), threshold=-50.0), table),
        "conformal": (ConformalDetector(detector(), alpha=0.1, random_state=0), table),
        "tuned": (
            TunedThresholdDetectorCV(
                detector(), scoring=AlarmCost(10, 1), cv=OneClassKFold(2), calibration="sigmoid"
            ),
            table,
        ),
        "windowed": (WindowedDetector(detector(), window_size=4), numbers),
    }
    for model, rows in models.values():
        model.fit(rows, is_outlier)
    return {name: (model, rows.head(40)) for name, (model, rows) in models.items()}


def main(folder):
    folder.mkdir(parents=True)
    for name, (model, rows) in make_models().items():
        save(model, folder / f"{name}.skops")
        if name not in NOT_IN_ONNX:
            to_onnx(model, folder / f"{name}.onnx", X=rows)
        scored = rows.assign(score=model.score_samples(rows), label=model.predict(rows))
        scored.to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
