"""The public names of the package, by their modules."""

from importlib.util import find_spec

import vae_anomaly
import vae_anomaly.batch
import vae_anomaly.report

NAMES = {
    "vae_anomaly": vae_anomaly.__all__,
    "vae_anomaly.batch": vae_anomaly.batch.__all__,
    "vae_anomaly.onnx": ["register_converters"],
    "vae_anomaly.report": vae_anomaly.report.__all__,
    "vae_anomaly.pyod_model": ["PyODModel"] if find_spec("pyod") else [],
}
