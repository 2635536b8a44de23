"""
Digits in two latent dimensions
===============================

With ``latent_dim=2`` every image becomes a point in the plane. The network is not told which digit
an image shows, and yet images of the same digit end up close together, because this is the cheapest
way to rebuild them.
"""

# %%
# Where the images lie
# --------------------

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm
from sklearn.datasets import load_digits

from vae_anomaly import VAEAnomalyDetector

images, digits = load_digits(return_X_y=True)
vae = VAEAnomalyDetector(
    input_shape=(8, 8, 1), latent_dim=2, observation_noise=0.5, max_iter=300, random_state=0
)
codes = vae.fit_transform(images)

figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 5.4), width_ratios=(1.15, 1))
for digit, color in zip(range(10), plt.colormaps["tab10"].colors, strict=True):
    is_digit = digits == digit
    left.scatter(*codes[is_digit].T, s=7, alpha=0.6, color=color)
    left.text(
        *np.median(codes[is_digit], axis=0),
        digit,
        fontsize=15,
        fontweight="bold",
        ha="center",
        va="center",
        bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": color, "alpha": 0.9},
    )
left.set(title="Images as points", xlabel="z_mean 0", ylabel="z_mean 1", aspect="equal")
# sphinx_gallery_defer_figures

# %%
# What lies between them
# ----------------------
# The right panel shows a decoded grid of codes. The grid points are quantiles of the prior N(0, I),
# so that all cells are equally likely.

n = 12
quantiles = norm.ppf((np.arange(n) + 0.5) / n)
grid = np.stack(np.meshgrid(quantiles, quantiles[::-1]), axis=-1)
decoded = vae.inverse_transform(grid.reshape(-1, 2)).reshape(n, n, 8, 8)
tiles = np.pad(decoded, ((0, 0), (0, 0), (1, 1), (1, 1)))  # a white frame around each
tiles = tiles.transpose(0, 2, 1, 3).reshape(10 * n, 10 * n)
right.imshow(tiles, cmap="gray_r", vmin=0, vmax=16, interpolation="bicubic")
right.set(title="Points as images", xticks=[], yticks=[])
figure.tight_layout()
plt.show()
