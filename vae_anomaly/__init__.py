"""Anomaly detection with variational autoencoders, as scikit-learn estimators.

Nothing heavy is imported before it is needed: TensorFlow is loaded by the first `fit`.
"""

from importlib.metadata import version

from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.metrics import make_outlier_scorer
from vae_anomaly.preprocessing import SlidingWindow
from vae_anomaly.windowed import WindowedDetector

__all__ = ["SlidingWindow", "VAEAnomalyDetector", "WindowedDetector", "make_outlier_scorer"]
__version__ = version("vae-anomaly")
