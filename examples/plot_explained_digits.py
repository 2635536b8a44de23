"""
Which pixels are unusual?
=========================

A convolutional VAE is trained on the digits 0 to 8 and has never seen a nine. Of new images, some
are nines, and some have a smear over them: four pixels in a row of another brightness. The score is
a sum over the pixels and the code, so each pixel has its share.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from vae_anomaly import LatentSpaceDisplay, ReconstructionDisplay, VAEAnomalyDetector, explain

images, digits = load_digits(return_X_y=True)
X, X_new, y, y_new = train_test_split(images, digits, test_size=0.5, random_state=0)
vae = VAEAnomalyDetector(
    architecture="conv",
    input_shape=(8, 8, 1),
    observation_noise=0.3,
    max_iter=100,
    random_state=0,
).fit(X[y != 9])

# %%
# Two ordinary digits, three with a smear, three nines
# ----------------------------------------------------

ordinary, nines = X_new[y_new < 9][:5], X_new[y_new == 9][:3]
smeared = ordinary[2:].reshape(-1, 8, 8).copy()
for image, line in zip(smeared, (1, 4, 6), strict=True):
    image[line, 2:6] = 16 - image[line, 2:6]
shown = np.vstack([ordinary[:2], smeared.reshape(-1, 64), nines])
explanation = explain(vae, shown)

figure, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
ReconstructionDisplay.from_predictions(explanation, ax=ax)
ax.set_title("Ordinary, ordinary, three with a smear, three nines")
is_smear = np.abs(smeared.reshape(-1, 64) - ordinary[2:]) > 0
share = np.maximum(explanation.in_sample_shape[2:5].reshape(3, 64), 0)
print(f"share of the smear's pixels in the score: {share[is_smear].sum() / share.sum():.0%}")
print(f"threshold {explanation.threshold:.0f}, scores {explanation.score.round().tolist()}")

# %%
# Where the codes lie
# -------------------

figure, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
few = np.isin(y_new, (0, 1, 4, 9))
LatentSpaceDisplay.from_estimator(vae, X_new[few], y_new[few], ax=ax)
plt.show()
