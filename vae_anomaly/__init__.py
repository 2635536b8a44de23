"""Anomaly detection with variational autoencoders, as scikit-learn estimators.

Importing the package is cheap: TensorFlow is only imported by the first `fit`.
"""

from importlib.metadata import version

import vae_anomaly.forking
import vae_anomaly.keras_registration  # noqa: F401
from vae_anomaly.batch.schema import TableSchema
from vae_anomaly.calendar_encoder import CalendarEncoder
from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.displays.contributions import ContributionHeatmapDisplay, ContributionsDisplay
from vae_anomaly.displays.latent import LatentSpaceDisplay
from vae_anomaly.displays.reconstruction import ReconstructionDisplay
from vae_anomaly.displays.training import TrainingHistoryDisplay
from vae_anomaly.explanations.counterfactuals import Counterfactuals, counterfactuals
from vae_anomaly.explanations.explain import explain
from vae_anomaly.explanations.explanation import Explanation
from vae_anomaly.onnx.export import to_onnx
from vae_anomaly.onnx.scoring import OnnxDetector
from vae_anomaly.persistence import TRUSTED_TYPES, inspect, load, save
from vae_anomaly.thresholds.bootstrap import bootstrap_threshold
from vae_anomaly.thresholds.conformal import ConformalDetector
from vae_anomaly.thresholds.fixed import FixedThresholdDetector
from vae_anomaly.thresholds.metrics import (
    get_outlier_scorer,
    make_excess_mass_scorer,
    make_mass_volume_scorer,
    make_outlier_scorer,
)
from vae_anomaly.thresholds.objectives import (
    AlarmBudget,
    AlarmCost,
    AutoThreshold,
    ExtremeValueTail,
    FBeta,
    PrecisionAtK,
    RecallAtPrecision,
)
from vae_anomaly.thresholds.plotting import ScoreDistributionDisplay, ThresholdDisplay
from vae_anomaly.thresholds.splitting import OneClassKFold
from vae_anomaly.thresholds.tuned import TunedThresholdDetectorCV
from vae_anomaly.time_series.whitening import WindowWhitening
from vae_anomaly.time_series.windowed import WindowedDetector
from vae_anomaly.time_series.windows import SlidingWindow

__all__ = [
    "TRUSTED_TYPES",
    "AlarmBudget",
    "AlarmCost",
    "AutoThreshold",
    "CalendarEncoder",
    "ConformalDetector",
    "ContributionHeatmapDisplay",
    "ContributionsDisplay",
    "Counterfactuals",
    "Explanation",
    "ExtremeValueTail",
    "FBeta",
    "FixedThresholdDetector",
    "LatentSpaceDisplay",
    "OneClassKFold",
    "OnnxDetector",
    "PrecisionAtK",
    "RecallAtPrecision",
    "ReconstructionDisplay",
    "ScoreDistributionDisplay",
    "SlidingWindow",
    "TableSchema",
    "ThresholdDisplay",
    "TrainingHistoryDisplay",
    "TunedThresholdDetectorCV",
    "VAEAnomalyDetector",
    "WindowWhitening",
    "WindowedDetector",
    "bootstrap_threshold",
    "counterfactuals",
    "explain",
    "get_outlier_scorer",
    "inspect",
    "load",
    "make_excess_mass_scorer",
    "make_mass_volume_scorer",
    "make_outlier_scorer",
    "save",
    "to_onnx",
]
__version__ = version("vae-anomaly")
