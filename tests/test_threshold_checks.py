"""scikit-learn's own checks of the meta-estimators, over two detectors."""

from sklearn.ensemble import IsolationForest
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_anomaly import (
    ConformalDetector,
    FixedThresholdDetector,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
)

FOREST = IsolationForest(n_estimators=20, random_state=0)
TINY_VAE = VAEAnomalyDetector(
    hidden_layer_sizes=(8,), latent_dim=2, max_iter=2, contamination=0.1, random_state=0
)


@parametrize_with_checks(
    [
        estimator
        for detector in (FOREST, TINY_VAE)
        for estimator in (
            FixedThresholdDetector(detector),
            TunedThresholdDetectorCV(detector, cv=3),
            ConformalDetector(detector, random_state=0),
        )
    ]
)
def test_meta_estimator_passes_the_check(estimator, check):
    check(estimator)
