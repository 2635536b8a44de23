"""
Digits rebuilt, sampled and interpolated
========================================

An autoencoder compresses an image to a few numbers, its code, and rebuilds the image from it. A
plain autoencoder does this well, but does not tell which codes belong to images. A variational one
is trained so that codes drawn from the standard normal distribution do, so it can generate new
images.

The digits are images of 8 x 8 pixels; a convolutional network is trained on half of them.
"""

# %%
# Rebuild
# -------
# ``observation_noise`` sets how exact a reconstruction has to be. To generate new images, it must
# not be too small: otherwise the codes keep every detail and leave holes in the latent space.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from vae_anomaly import VAEAnomalyDetector

images, digits = load_digits(return_X_y=True)
X, X_new, _, digits_new = train_test_split(images, digits, test_size=0.5, random_state=0)


def fit(**parameters):
    detector = VAEAnomalyDetector(
        architecture="conv",
        input_shape=(8, 8, 1),
        latent_dim=16,
        observation_noise=0.5,
        max_iter=100,
        random_state=0,
        **parameters,
    )
    return detector.fit(X)


def show(title, rows):
    """Draw rows of images, {name: (n, 64)}."""
    n_columns = max(map(len, rows.values()))
    figure, axes = plt.subplots(
        len(rows),
        n_columns,
        figsize=(0.7 * n_columns + 1.2, 0.7 * len(rows) + 0.6),
        layout="constrained",
    )
    for (name, row), row_axes in zip(rows.items(), np.atleast_2d(axes), strict=True):
        for image, ax in zip(row, row_axes, strict=True):
            image = np.reshape(image, (8, 8))
            ax.imshow(image, cmap="gray_r", vmin=0, vmax=16, interpolation="bicubic")
            ax.set(xticks=[], yticks=[])
        row_axes[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle(title)


vae, plain = fit(), fit(variational=False)
chosen = X_new[[np.flatnonzero(digits_new == digit)[0] for digit in range(10)]]
show(
    "Images that the networks have not seen",
    {
        "image": chosen,
        "rebuilt, VAE": vae.reconstruct(chosen),
        "rebuilt, plain": plain.reconstruct(chosen),
    },
)

# %%
# Sample
# ------
# The codes are drawn from N(0, I). A plain autoencoder may put the codes of images anywhere, so
# most of what it decodes from the same draws is not a digit.

show(
    "New images from codes drawn from N(0, I)",
    {
        "VAE": vae.sample(14, random_state=0),
        "": vae.sample(14, random_state=1),
        "plain": plain.sample(14, random_state=0),
        " ": plain.sample(14, random_state=1),
    },
)

# %%
# Interpolate
# -----------
# The upper row follows the line between the codes of two images, and the lower row the line between
# the images themselves.

share = np.linspace(0, 1, 11)[:, None]
first, last = chosen[[0]], chosen[[6]]
codes = (1 - share) * vae.transform(first) + share * vae.transform(last)
show(
    "From a zero to a six",
    {"codes": vae.inverse_transform(codes), "pixels": (1 - share) * first + share * last},
)
plt.show()
