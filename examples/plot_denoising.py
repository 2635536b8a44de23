"""
Removing noise from images
==========================

During training, noise is added to the encoder's input, but not to the target of the decoder
(``input_noise``, in units of the pixels' standard deviation). So the network learns to remove
noise, and ``reconstruct`` does so. The best linear filter that can be learned from the same images
is the Wiener filter, which is a regression of clean images on noisy ones here.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split

from vae_anomaly import VAEAnomalyDetector

NOISE = 0.4  # standard deviation; pixels lie in [0, 1]

images, digits = load_digits(return_X_y=True)
X, X_new, _, digits_new = train_test_split(images / 16, digits, test_size=0.5, random_state=0)
rng = np.random.default_rng(0)
noisy = X_new + NOISE * rng.standard_normal(X_new.shape)

vae = VAEAnomalyDetector(
    architecture="conv",
    input_shape=(8, 8, 1),
    observation_noise=0.5,
    max_iter=100,
    input_noise=NOISE / X.std(),
    random_state=0,
).fit(X)
copies = np.repeat(X, 10, axis=0)  # each copy gets different noise
wiener = RidgeCV(np.logspace(-2, 4, 13)).fit(
    copies + NOISE * rng.standard_normal(copies.shape), copies
)

rows = {
    "clean": X_new,
    "noisy": noisy,
    "Wiener filter": wiener.predict(noisy),
    "VAE": vae.reconstruct(noisy),
}
chosen = [np.flatnonzero(digits_new == digit)[0] for digit in range(10)]
figure, axes = plt.subplots(4, 10, figsize=(9, 3.6), layout="constrained")
for (name, row), row_axes in zip(rows.items(), axes, strict=True):
    error = np.mean((row - X_new) ** 2)
    for image, ax in zip(row[chosen], row_axes, strict=True):
        image = image.reshape(8, 8)
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="bicubic")
        ax.set(xticks=[], yticks=[])
    label = f"{name}\nerror {error:.4f}" if error else name
    row_axes[0].set_ylabel(label, rotation=0, ha="right", va="center")
    print(f"{name:14} mean squared error {error:.4f}")
figure.suptitle("Mean squared error to the clean image, over all images not trained on")
plt.show()
