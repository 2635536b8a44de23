"""What is imported when: TensorFlow and Keras come with the first fit, not before."""

import joblib

HEAVY = '[m for m in ("keras", "tensorflow", "torch", "jax", "matplotlib") if m in sys.modules]'

STEPS = f"""
import sys
def imported():
    return {HEAVY}
import vae_anomaly
print("import", imported())
from sklearn.base import clone
from vae_anomaly import VAEAnomalyDetector, make_outlier_scorer
repr(clone(VAEAnomalyDetector(latent_dim=2)).set_params(beta=2.0).get_params())
print("construct", imported())
from sklearn.metrics import roc_auc_score
make_outlier_scorer(roc_auc_score)
print("scorer", imported())
try:
    VAEAnomalyDetector(latent_dim=0).fit([[0.0], [1.0]])
except ValueError:
    print("refuse", imported())
"""

USE = f"""
import sys, joblib
detector, X = joblib.load(sys.argv[1])
detector.predict(X)
detector.score_samples(X)
detector.score_components(X)
detector.score(X)
detector.inverse_transform(detector.transform(X))
detector.reconstruct(X)
detector.sample(3)
print({HEAVY})
"""


def test_nothing_heavy_is_imported_before_a_fit(run_python):
    steps = [line.partition(" ") for line in run_python(STEPS).splitlines()]
    assert [step for step, _, _ in steps] == ["import", "construct", "scorer", "refuse"]
    assert {imported for _, _, imported in steps} == {"[]"}


def test_a_stored_detector_is_used_without_keras(run_python, detector, X_new, tmp_path):
    joblib.dump((detector, X_new), tmp_path / "both")
    assert run_python(USE, tmp_path / "both").strip() == "[]"


def test_keras_models_come_when_they_are_asked_for(run_python, detector, tmp_path):
    joblib.dump(detector, tmp_path / "detector")
    script = "import sys, joblib; print(joblib.load(sys.argv[1]).encoder_.count_params())"
    printed = run_python(script, tmp_path / "detector")
    assert int(printed.split()[-1]) == detector.encoder_.count_params()


def test_public_names_are_those_of_all():
    import vae_anomaly

    assert sorted(set(vae_anomaly.__all__)) == sorted(vae_anomaly.__all__)
    assert all(hasattr(vae_anomaly, name) for name in vae_anomaly.__all__)
