"""
Compression: a VAE and PCA
==========================

The fewer latent dimensions there are, the more is lost. PCA is the best linear code, so whatever
the networks gain over it is due to their being non-linear. The error is measured on images that
were not used for training, as a fraction of their variance.

With half as many numbers as pixels, PCA overtakes the networks, because it keeps the noise as well.
The networks are trained to remove noise (``input_noise``). In addition, a VAE uses no more of its
code than pays off in the loss: latent dimensions that it has no use for stay empty
(``observation_noise`` sets their price).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from vae_anomaly import VAEAnomalyDetector

X, X_new = train_test_split(load_digits().data, test_size=0.5, random_state=0)
variance = np.mean((X_new - X.mean(axis=0)) ** 2)


def pca(n_dimensions):
    model = PCA(n_dimensions).fit(X)
    return model.inverse_transform(model.transform(X_new))


def vae(n_dimensions, **parameters):
    model = VAEAnomalyDetector(
        input_shape=(8, 8, 1),
        latent_dim=n_dimensions,
        max_iter=150,
        random_state=0,
        **parameters,
    )
    return model.fit(X).reconstruct(X_new)


def plain(n_dimensions):
    return vae(n_dimensions, variational=False)


n_dimensions = [2, 4, 8, 16, 32]
figure, ax = plt.subplots(figsize=(7.5, 4.5))
for name, rebuild, style in (
    ("PCA", pca, "o-"),
    ("plain autoencoder", plain, "s--"),
    ("VAE", vae, "D-"),
):
    errors = [np.mean((rebuild(n) - X_new) ** 2) / variance for n in n_dimensions]
    ax.plot(n_dimensions, errors, style, label=name)
    print(f"{name:18}", *(f"{error:.3f}" for error in errors))
ax.set(
    xscale="log",
    yscale="log",
    xlabel="numbers per image (latent_dim; components of PCA)",
    ylabel="error / variance of the pixels",
    title="What is lost when digits of 64 pixels are compressed",
)
ax.set_xticks(n_dimensions, n_dimensions)
ax.set_yticks([1, 0.5, 0.2, 0.1, 0.05], ["100 %", "50 %", "20 %", "10 %", "5 %"])
ax.minorticks_off()
ax.grid(alpha=0.3)
ax.legend()
figure.tight_layout()
plt.show()
