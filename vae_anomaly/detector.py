"""VAEAnomalyDetector: parameters, validation and the scikit-learn methods."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.model_selection import train_test_split
from sklearn.utils import (
    Tags,
    assert_all_finite,
    check_array,
    check_random_state,
    gen_batches,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from vae_anomaly import tiles as scoring
from vae_anomaly.columns import one_hot_groups
from vae_anomaly.decision import OffsetMixin
from vae_anomaly.losses import LIKELIHOODS
from vae_anomaly.networks import ARCHITECTURES, NetworkSpec, Weights
from vae_anomaly.networks.dense_numpy import ACTIVATIONS
from vae_anomaly.networks.forward import make_decode, make_encode
from vae_anomaly.scaling import (
    CHUNK_ROWS,
    Rows,
    as_float64,
    fit_scaling,
    in_chunks,
    standardize,
    unstandardize,
)
from vae_anomaly.sklearn_private import Interval, StrOptions, _check_sample_weight, _fit_context
from vae_anomaly.thresholds import offsets as threshold

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from numpy.typing import ArrayLike

    from vae_anomaly.training.loop import RowsInMemory, Settings

AUTO_STEPS = 2000
"""Gradient steps that ``max_iter="auto"`` spends, whatever the number of rows, ..."""

AUTO_MAX_EPOCHS = 1000
"""... unless there are so few that they would be seen more often than this."""

_RECENT_SCORES = 2_000
"""Number of latest rows whose scores set `offset_` in `partial_fit`."""


def _has_a_bound(detector: VAEAnomalyDetector) -> bool:
    """Return True where `score` is defined, or raise telling what to do without it."""
    if not detector.variational:
        raise AttributeError(
            "A plain autoencoder (variational=False) has no evidence lower bound to score "
            "held-out rows by. Compare models by labels: scoring=make_outlier_scorer(...)."
        )
    return True


_SAMPLE_ROWS = 10_000
"""Number of rows that set `offset_` in `fit_batches`."""


class VAEAnomalyDetector(
    OffsetMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Anomaly detection with a variational autoencoder (VAE).

    A VAE learns to squeeze ordinary rows through a small latent code and to rebuild them. A row
    that it cannot rebuild, or whose code lies far from all others, is unlike what it was trained
    on. Its anomaly score is the loss that the network was trained with, in nats::

        -score_samples(x) = reconstruction(x) + beta * kl(x)
        reconstruction(x) = E[-log p(x | z)],  z ~ q(z | x) = N(z_mean, exp(z_log_var))
        kl(x)             = KL(q(z | x) || N(0, I))

    which with ``beta=1`` is the negative evidence lower bound, a bound on -log p(x) [1]_.

    Columns are standardised inside, so raw columns of any scale can be passed. Missing values are
    refused: put an imputer before the detector. The sign convention is scikit-learn's: lower
    scores and the prediction -1 mean outlier.

    Parameters
    ----------
    architecture : {"dense", "conv", "lstm", "gru"}, default="dense"
        Kind of the hidden layers, see `hidden_layer_sizes`.

        - "dense": fully connected; a sample is a row of features.
        - "conv": convolutions of width 5 that halve the size (stride 2), and transposed ones that
          double it. Between them and the code is a dense layer, of four units for each filter of
          the last convolution. A sample is an image or, with one-dimensional convolutions, a
          sequence.
        - "lstm", "gru": recurrent, sequence in and sequence out. The last state of the encoder
          makes the code, and the code goes into the decoder at every time step.

    input_shape : tuple of int, default=None
        Shape of one sample: (height, width, channels) or (timesteps, features). A row of X is the
        sample flattened in C order, and methods that take rows also take ``(n, *input_shape)``
        arrays. By default a sample has as many time steps as X has columns, and one feature;
        "dense" takes the columns as they are, and any shape.

    variational : bool, default=True
        Whether to train a VAE. If not, it is a plain autoencoder: the same networks, but the code
        is z_mean without noise, the KL divergence is 0 and the score the reconstruction alone.

    encoder : keras.Model or callable, default=None
        An encoder of your own in place of the architecture's: a Keras model, or a function
        ``(input_shape, latent_dim)`` that builds one. It maps samples ``(n, *input_shape)`` to
        [z_mean, z_log_var], each (n, latent_dim); of a plain autoencoder the first is enough.
        `fit` trains a copy, its weights drawn anew by `random_state`; the model itself stays as it
        is. It is kept as configuration and weights, so Lambda layers are refused; so is what this
        training would not look after, such as batch normalisation and regularizers.
        `hidden_layer_sizes`, `activation` and `dropout` do not concern it.

    decoder : keras.Model or callable, default=None
        The same for the decoder, which maps (n, latent_dim) to samples ``(n, *input_shape)``, in
        standardised units or, with "binary_crossentropy", as probabilities.

    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Units of the encoder's dense or recurrent layers, or filters of its convolutions; the
        decoder has the same in reverse order. An empty tuple makes dense networks linear. "auto" is
        (256, 128) for "dense", (32, 64) for "conv", (64,) for "lstm" and "gru".

    latent_dim : int, default=32
        Number of latent dimensions, and of columns that `transform` returns.

    activation : {"elu", "gelu", "linear", "relu", "selu", "sigmoid", "silu", "softplus", \
            "tanh", "auto"}, default="auto"
        Activation of the hidden layers, by Keras's names. "auto" is "tanh" for "lstm" and "gru",
        "relu" for the others.

    reconstruction_loss : {"auto", "mse", "gaussian", "binary_crossentropy"}, default="auto"
        The negative log-likelihood of a row given its code, summed over features.

        - "auto": "mse", but one categorical variable for each one-hot group, which is a run of
          three or more neighbouring columns of two values each, exactly one of them "hot" in every
          training row; see `one_hot_groups_`. Dense networks only: others take it as "mse".
        - "mse": normal with the fixed standard deviation `observation_noise`.
        - "gaussian": normal with one learned variance per feature, at least 1e-4.
        - "binary_crossentropy": Bernoulli. Takes data in [0, 1], which is not standardised.

    observation_noise : float, default=0.1
        Standard deviation of the "mse" likelihood, in units of each column's standard deviation.
        The smaller, the more reconstruction counts against the KL divergence.

    input_noise : float, default=0.35
        Mean standard deviation of the noise that training adds to the encoder's input, in the same
        units; columns of one-hot groups, whose standard deviation is at most 0.5, get half as much.
        Each row draws its own level between none and twice that. The target stays clean (denoising
        VAE [2]_), and so do the rows that are scored.

    beta : float, default=1.0
        Weight of the KL divergence, in training and in the score [3]_.

    n_draws : int, default=4
        Draws of z over which the score averages the reconstruction. They come from one table of
        noise made by `fit` and shared by all rows, so scores do not change from call to call.
        0 takes z at z_mean: faster, but no bound any more.

    support_fraction : float, default=1.0
        Share of each batch that training learns from: the rows with the smallest KL divergence.
        Set it to 0.5 where the training data hold outliers that nobody has labelled; the network
        would learn to rebuild them too. On clean data it costs some accuracy. It concerns training
        only, as in `sklearn.covariance.MinCovDet`.

    batch_size : int, default=128
        Rows per gradient step; all rows where there are fewer.

    learning_rate_init : float or "auto", default="auto"
        Adam's learning rate at the start; it falls to zero along half a cosine. "auto" is 0.003 for
        "conv" and 0.001 for the others.

    weight_decay : float, default=0.0
        Decoupled weight decay of the layers' kernels, as in AdamW.

    dropout : float, default=0.0
        Share of hidden units dropped in each training step.

    max_iter : int or "auto", default="auto"
        Number of epochs. "auto" makes it 2,000 gradient steps, but at least one epoch and at most
        1,000.

    early_stopping : bool, default=False
        Whether to hold out rows and stop when their loss no longer falls. The weights of the best
        epoch are kept. `tol`, `n_iter_no_change` and `validation_fraction` only matter then.

    validation_fraction : float, default=0.1
        Share of rows held out for early stopping.

    n_iter_no_change : int, default=10
        Epochs without improvement after which training stops.

    tol : float, default=1e-4
        What counts as an improvement of the held-out loss, in nats.

    contamination : "auto" or float, default="auto"
        Where the decision threshold `offset_` lies; training does not depend on it.

        - "auto": no guess of the share of outliers is needed. A second network is trained on half
          of the rows, for as many epochs, and scores the other half; a skewed distribution is
          fitted to the bulk of these scores, and the line drawn where it leaves 1 % outside, see
          `vae_anomaly.thresholds.offsets.auto_offset`. With few epochs the line is lower than that.
        - float in (0, 0.5]: this share of the training rows are outliers.

    warm_start : bool, default=False
        Whether `fit` goes on from the weights, and keeps the scaling, of the fit before.

    verbose : int, default=0
        1 shows a progress bar.

    random_state : int, RandomState instance or None, default=None
        Initial weights, order of the rows and noise. Pass an int for the same model each time.

    Attributes
    ----------
    encoder_ : keras.Model
        x ``(n, *input_shape)`` -> [z_mean, z_log_var], each (n, latent_dim), in standardised units;
        of a plain autoencoder z_mean alone.

    decoder_ : keras.Model
        z (n, latent_dim) -> mean of x given z ``(n, *input_shape)``, in standardised units.

    vae_ : keras.Model
        The two end to end, with a `Sampling` layer between if `variational`.

    offset_ : float
        Threshold: ``decision_function = score_samples - offset_``.

    training_scores_ : ndarray of shape (n_samples,)
        `score_samples` of the training rows; after `partial_fit`, of the latest 2,000.

    history_ : dict of lists
        "loss", "reconstruction" and "kl" of each epoch, and "val_loss" with early stopping.

    n_iter_ : int
        Number of epochs run.

    latent_dim_ : int
        Number of latent dimensions.

    center_, scale_ : ndarray of shape (n_features,)
        Mean and standard deviation that standardise the columns. With `input_shape`, all positions
        of a channel or feature have one `scale_`, the root mean square, except for "dense".

    one_hot_groups_ : tuple of (int, int)
        First column, and the one after the last, of each group that ``reconstruction_loss="auto"``
        has found and models as one categorical variable.

    encoder_weights_, decoder_weights_ : list of ndarray
        What the networks have learned, in Keras's order.

    observation_scale_ : ndarray of shape (n_features,)
        Scale of the likelihood, see `vae_anomaly.losses.Likelihood`.

    n_features_in_ : int
        Number of features seen in `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X has string names.

    See Also
    --------
    sklearn.ensemble.IsolationForest : Isolates rows by random splits.
    sklearn.neighbors.LocalOutlierFactor : Compares densities of neighbourhoods.
    sklearn.mixture.GaussianMixture : Density as a sum of normals.

    Notes
    -----
    `z_log_var` is bounded to (-10, 10) and standardised values are clipped to +-1e6. A column that
    was constant in training has one millionth of its value as its unit: when it moves, the score
    is huge. The encoder does not see it move, so the code stays that of the other columns.

    Scores are computed in float32 on fixed tiles of rows, so the same row gets the same score to
    the bit in any batch, in any order and in any process on one machine.

    Metrics of scikit-learn take high scores for the positive class. With outliers labelled 1,
    ``scoring="roc_auc"`` would therefore reward the worst detector: use
    `vae_anomaly.make_outlier_scorer`.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
    .. [2] D. J. Im et al., "Denoising Criterion for Variational Auto-Encoding Framework",
       AAAI 2017.
    .. [3] I. Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
       Variational Framework", ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
    >>> X = np.column_stack([t, np.sin(t), np.cos(t)])
    >>> detector = VAEAnomalyDetector(random_state=0).fit(X)
    >>> detector.predict([[3.0, np.sin(3.0), np.cos(3.0)], [3.0, 1.0, 1.0]])
    array([ 1, -1])
    """

    _training_scores_attribute = "training_scores_"  # see `thresholds.fitting`

    _parameter_constraints: dict[str, list[Any]] = {
        "architecture": [StrOptions(set(ARCHITECTURES))],
        "input_shape": ["array-like", None],
        "variational": ["boolean"],
        "encoder": [callable, None],
        "decoder": [callable, None],
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like"],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"auto", *ACTIVATIONS})],
        "reconstruction_loss": [StrOptions({"auto", *LIKELIHOODS})],
        "observation_noise": [Interval(Real, 0, None, closed="neither")],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "n_draws": [Interval(Integral, 0, None, closed="left")],
        "support_fraction": [Interval(Real, 0, 1, closed="right")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        architecture: str = "dense",
        input_shape: tuple[int, ...] | None = None,
        variational: bool = True,
        encoder: keras.Model | Callable[..., keras.Model] | None = None,
        decoder: keras.Model | Callable[..., keras.Model] | None = None,
        hidden_layer_sizes: tuple[int, ...] | str = "auto",
        latent_dim: int = 32,
        activation: str = "auto",
        reconstruction_loss: str = "auto",
        observation_noise: float = 0.1,
        input_noise: float = 0.35,
        beta: float = 1.0,
        n_draws: int = 4,
        support_fraction: float = 1.0,
        batch_size: int = 128,
        learning_rate_init: float | str = "auto",
        weight_decay: float = 0.0,
        dropout: float = 0.0,
        max_iter: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        contamination: float | str = "auto",
        warm_start: bool = False,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.architecture = architecture
        self.input_shape = input_shape
        self.variational = variational
        self.encoder = encoder
        self.decoder = decoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.latent_dim = latent_dim
        self.activation = activation
        self.reconstruction_loss = reconstruction_loss
        self.observation_noise = observation_noise
        self.input_noise = input_noise
        self.beta = beta
        self.n_draws = n_draws
        self.support_fraction = support_fraction
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.contamination = contamination
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train the VAE and set the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, best without outliers; some do little harm.
        y : ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows' losses, in the scaling and in the threshold too. Rows of weight
            zero are left out.

        Returns
        -------
        self : VAEAnomalyDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter, X or `sample_weight` is not valid, or training diverges.
        """
        goes_on = self.warm_start and hasattr(self, "offset_")
        rows, weight = self._validate_training(X, sample_weight, reset=not goes_on)
        rng = check_random_state(self.random_state)
        if not goes_on:
            chunks = in_chunks(rows, weight)
            self._initialize(chunks, chunks, rng)
        else:
            self._go_on(rng)
        self._train(rows, weight, rng)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches: Any) -> Self:
        """Train the VAE on rows that do not fit into memory.

        It is `fit`, but for the following. Rows are shuffled within a buffer of 65,536 only, so
        they should not come sorted. The threshold, and the search for one-hot groups, use a random
        sample of 10,000 rows, whose scores become `training_scores_`; no second network is trained
        for ``contamination="auto"``, as one row of so many is hardly learned by heart.
        `early_stopping` and `warm_start` do not apply.

        Parameters
        ----------
        batches : iterable or callable
            Gives X in parts, each an array-like, sparse matrix or frame of shape
            (n_rows, n_features) with rows of its own number. It is read twice before training, for
            the scaling, and then once per epoch: a list, a `tf.data.Dataset` or a
            `pyarrow.dataset.Dataset`, or a function that returns a new iterator, such as a
            generator function; not a generator, which can be read only once.

        Returns
        -------
        self : VAEAnomalyDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter or a batch is not valid, or training diverges.
        """
        read = self._batch_reader(batches)
        rng = check_random_state(self.random_state)
        n_rows, sample = _count_and_sample(read(reset=True), rng)
        if n_rows < 2:
            raise ValueError(
                f"Found {n_rows} samples in all batches while a minimum of 2 is required by "
                f"{type(self).__name__}."
            )
        self._initialize(
            lambda: ((as_float64(X), np.ones(X.shape[0])) for X in read()),
            in_chunks(sample, np.ones(len(sample))),
            rng,
        )
        self._train_on_batches(read, n_rows, sample, rng)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:
        """Train for one epoch on a batch of rows, going on from the present weights.

        The first call sets the scaling of the columns for good, so give it a representative batch.
        The learning rate is constant at `learning_rate_init`, and `early_stopping` does not apply.
        `offset_` follows the latest 2,000 rows, each scored right after the call that brought it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : ignored
            Present for API consistency.

        Returns
        -------
        self : VAEAnomalyDetector
            The detector, trained further.

        Raises
        ------
        ValueError
            If a parameter or X is not valid, or training diverges.
        """
        first = not hasattr(self, "offset_")
        rows, weight = self._validate_training(X, None, reset=first, n_least=2 if first else 1)
        rng = check_random_state(self.random_state)
        if first:
            chunks = in_chunks(rows, weight)
            self._initialize(chunks, chunks, rng)
        self._train_one_epoch(rows, rng)
        return self

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the opposite of the anomaly score, -(reconstruction + beta * KL), of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In nats, float64. The lower, the more abnormal.
        """
        return self._scores(self._validate(X))

    def score_components(self, X: ArrayLike) -> pd.DataFrame:
        """Return the two terms of the anomaly score of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        components : DataFrame of shape (n_samples, 2)
            Columns "reconstruction" and "kl", in nats, with the index of X if that is a pandas
            frame. ``reconstruction + beta * kl`` equals ``-score_samples(X)``.
        """
        import pandas as pd

        reconstruction, kl = self._score_terms(self._validate(X))
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame({"reconstruction": reconstruction, "kl": kl}, index=index)

    @available_if(_has_a_bound)
    def score(self, X: ArrayLike, y: object = None) -> float:
        """Return the mean evidence lower bound of rows, for model selection without labels.

        It counts the KL divergence once whatever `beta`, and the likelihood with its normalising
        constant, so that networks, noises and latent dimensions can be compared on held-out rows.
        It cannot compare preprocessing, nor likelihoods of standardised with those of raw columns,
        nor plain autoencoders: they have no such bound, nor this method, and need a labelled
        scorer (`vae_anomaly.make_outlier_scorer`).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Held-out rows.
        y : ignored
            Present for API consistency.

        Returns
        -------
        score : float
            In nats a row, of standardised columns; higher is better.
        """
        reconstruction, kl = self._score_terms(self._validate(X))
        normalizer = self._spec.likelihood.log_normalizer(self.observation_scale_)
        return -float(np.mean(reconstruction + kl) + normalizer)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compress rows to the latent space.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to compress.

        Returns
        -------
        z_mean : ndarray of shape (n_samples, latent_dim)
            Mean of q(z | x).
        """
        rows = self._validate(X)
        encode = make_encode(self._spec, self._weights)
        z_mean = np.empty((rows.shape[0], self.latent_dim_), rows.dtype)
        scoring.map_tiles(
            lambda x: encode(scoring.known(x, self._varies))[:1],
            self._reader(rows),
            (z_mean,),
            self._spec,
        )
        return z_mean

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Decode latent points.

        Parameters
        ----------
        X : array-like of shape (n_samples, latent_dim)
            Points of the latent space.

        Returns
        -------
        X_decoded : ndarray of shape (n_samples, n_features)
            Mean of x given z, in the units of the training data.

        Raises
        ------
        ValueError
            If X has not `latent_dim` columns.
        """
        check_is_fitted(self)
        Z = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if Z.shape[1] != self.latent_dim_:
            raise ValueError(
                f"X has {Z.shape[1]} columns, but the latent space has {self.latent_dim_} "
                "dimensions; pass what transform returns."
            )
        decode = make_decode(self._spec, self._weights)
        X_mean = np.empty((len(Z), self.n_features_in_), Z.dtype)
        scoring.map_tiles(
            lambda z: (unstandardize(decode(z), self.center_, self.scale_),),
            lambda rows: Z[rows].astype(np.float32),
            (X_mean,),
            self._spec,
        )
        return X_mean

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Rebuild rows from their latent code, which removes noise.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.

        Returns
        -------
        X_rebuilt : ndarray of the shape of X
            Mean of x given z at z_mean, in the units of the training data.
        """
        shape = np.shape(X)
        rows = self._validate(X)
        encode = make_encode(self._spec, self._weights)
        decode = make_decode(self._spec, self._weights)

        def rebuild(x: np.ndarray) -> tuple[np.ndarray]:
            z_mean, _ = encode(scoring.known(x, self._varies))
            return (unstandardize(decode(z_mean), self.center_, self.scale_),)

        X_mean = np.empty(rows.shape, rows.dtype)
        scoring.map_tiles(rebuild, self._reader(rows), (X_mean,), self._spec)
        return X_mean.reshape(shape)

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Generate new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Pass an int for the same rows each time.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Means of x given codes drawn from the prior N(0, I), in the units of the training data;
            ``X.reshape(-1, *input_shape)`` makes samples of rows. Nothing has taught a plain
            autoencoder what such codes stand for.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
        rng = check_random_state(random_state)
        return self.inverse_transform(rng.standard_normal((n_samples, self.latent_dim_)))

    @property
    def encoder_(self) -> keras.Model:
        """The encoder as a Keras model, in standardised units."""
        return self._built()["encoder"]

    @property
    def decoder_(self) -> keras.Model:
        """The decoder as a Keras model, in standardised units."""
        return self._built()["decoder"]

    @property
    def vae_(self) -> keras.Model:
        """Encoder, Sampling layer and decoder end to end, as a Keras model."""
        return self._built()["vae"]

    def _validate_training(
        self, X: Any, sample_weight: Any, *, reset: bool, n_least: int = 2
    ) -> tuple[Any, np.ndarray]:
        """Return the rows of positive weight, and their weights."""
        X = self._validate(X, reset=reset)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if not sample_weight.all():
            X, sample_weight = X[sample_weight > 0], sample_weight[sample_weight > 0]
        if X.shape[0] < n_least:
            raise ValueError(
                "Found array with 1 sample (or only 1 of positive sample_weight) while a minimum "
                f"of 2 is required by {type(self).__name__}."
            )
        return X, sample_weight

    def _validate(self, X: Any, *, reset: bool = False, fitted: bool = True) -> Any:
        """Return X as a float array or CSR matrix, or raise naming what is wrong in it."""
        if fitted and not reset:
            check_is_fitted(self)
        try:
            X = validate_data(
                self,
                self._flattened(X),
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
            )
        except (TypeError, ValueError) as error:
            name = _first_without_numbers(X)
            if name is None:
                raise
            raise ValueError(
                f"{error} Column {name!r} does not hold numbers: leave it out, or encode it in a "
                "pipeline before the detector, with OneHotEncoder for example."
            ) from None
        try:
            assert_all_finite(X, estimator_name=type(self).__name__, input_name="X")
        except ValueError as error:
            place = self._place_of_first(lambda values: ~np.isfinite(values), X)
            raise ValueError(f"{error}\nFirst found in {place}.") from None
        loss = self._spec.reconstruction_loss if fitted and not reset else self.reconstruction_loss
        values = X.data if sp.issparse(X) else X
        outside = values.size and (values.min() < 0 or values.max() > 1)
        if loss == "binary_crossentropy" and outside:
            place = self._place_of_first(lambda values: (values < 0) | (values > 1), X)
            raise ValueError(
                'reconstruction_loss="binary_crossentropy" takes values in [0, 1]; the first '
                f"outside is in {place}. Scale X, with MinMaxScaler(clip=True) for example."
            )
        return X

    def _flattened(self, X: Any) -> Any:
        """Return an array of samples of shape `input_shape` as one of rows, and all else as is."""
        if getattr(X, "ndim", 2) <= 2:
            return X
        if self.input_shape is None:
            raise ValueError(
                f"Found array with dim {X.ndim}, while dim <= 2 is required by "
                f"{type(self).__name__} without input_shape; set input_shape={X.shape[1:]}."
            )
        if X.shape[1:] != tuple(self.input_shape):
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but input_shape={self.input_shape}; a row "
                "of a two-dimensional X would be one sample flattened."
            )
        return np.reshape(X, (len(X), math.prod(X.shape[1:])))

    def _batch_reader(self, batches: Any) -> Callable[..., Iterator[Any]]:
        """Return a function that goes through valid batches; with `reset`, the first sets names."""
        batches = getattr(batches, "to_batches", batches)
        if isinstance(batches, Iterator):
            raise ValueError(
                "batches is an iterator, which can be read only once, but training reads the rows "
                "several times. Pass the function that makes it."
            )
        if hasattr(batches, "columns") or getattr(batches, "ndim", 3) < 3:
            raise ValueError(
                f"batches is a single {type(batches).__name__}, and must give X in parts; pass a "
                "list of them, or call fit."
            )

        def read(*, reset: bool = False) -> Iterator[Any]:
            is_first_reading, n_rows = reset, 0
            for number, batch in enumerate(batches() if callable(batches) else batches):
                if type(batch).__module__.startswith("pyarrow"):
                    batch = batch.to_pandas()
                if not (batch.shape[0] if sp.issparse(batch) else len(batch)):
                    continue
                try:
                    X = self._validate(batch, reset=reset, fitted=False)
                except ValueError as error:
                    raise ValueError(f"Batch {number}, counted from 0: {error}") from None
                reset, n_rows = False, n_rows + X.shape[0]
                yield X
            if not (is_first_reading or n_rows):
                raise ValueError("batches gave rows when first read, and none when read again.")

        return read

    def _place_of_first(self, is_bad: Callable[[np.ndarray], np.ndarray], X: Any) -> str:
        """Return the column and the row of the first bad value, in words."""
        if sp.issparse(X):
            X = X.tocoo()
            at = np.flatnonzero(is_bad(X.data))[0]
            row, column = X.row[at], X.col[at]
        else:
            row, column = np.argwhere(is_bad(X))[0]
        names = getattr(self, "feature_names_in_", None)
        return f"column {column if names is None else repr(str(names[column]))}, row {row}"

    def _make_spec(self) -> NetworkSpec:
        sizes: Any = self.hidden_layer_sizes
        if isinstance(sizes, str):
            sizes = ARCHITECTURES[self.architecture].hidden_layer_sizes
        sizes = _positive_integers(sizes, "hidden_layer_sizes")
        activation = self.activation
        if activation == "auto":
            activation = ARCHITECTURES[self.architecture].activation
        if not sizes and ARCHITECTURES[self.architecture].needs_hidden_layers:
            raise ValueError(f"architecture={self.architecture!r} needs at least one hidden layer.")
        if self.support_fraction < 1 and not self.variational:
            raise ValueError(
                "support_fraction picks rows by their KL divergence, which a plain autoencoder "
                "(variational=False) has not; set it to 1.0."
            )
        loss = "mse" if self.reconstruction_loss == "auto" else self.reconstruction_loss
        input_shape, latent_dim = self._sample_shape(), int(self.latent_dim)
        encoder_config = decoder_config = None
        if self.encoder is not None or self.decoder is not None:
            from vae_anomaly.networks import custom as own

            if self.encoder is not None:
                encoder_config = own.encoder_config(
                    self.encoder, input_shape, latent_dim, variational=self.variational
                )
            if self.decoder is not None:
                decoder_config = own.decoder_config(self.decoder, input_shape, latent_dim)
        return NetworkSpec(
            input_shape=input_shape,
            latent_dim=latent_dim,
            hidden_layer_sizes=sizes,
            activation=activation,
            dropout=float(self.dropout),
            reconstruction_loss=loss,
            architecture=self.architecture,
            variational=bool(self.variational),
            encoder_config=encoder_config,
            decoder_config=decoder_config,
        )

    def _sample_shape(self) -> tuple[int, ...]:
        """Return the shape of one sample as the networks take it."""
        axes = ARCHITECTURES[self.architecture].axes
        if self.input_shape is None:
            return (self.n_features_in_, 1) if axes else (self.n_features_in_,)
        shape = _positive_integers(self.input_shape, "input_shape")
        if axes and len(shape) not in [text.count(",") + 1 for text in axes]:
            raise ValueError(
                f"architecture={self.architecture!r} takes samples of shape {' or '.join(axes)}, "
                f"got input_shape={shape}."
            )
        if math.prod(shape) != self.n_features_in_:
            raise ValueError(
                f"X has {self.n_features_in_} columns, but input_shape={shape} makes "
                f"{math.prod(shape)} of a sample."
            )
        return shape

    def _n_channels(self, spec: NetworkSpec) -> int:
        """Return the number of channels, or of columns where each is one of its own.

        Networks that share weights over positions need all positions of a channel in one unit.
        Without `input_shape` nothing says that the columns of X have one.
        """
        if spec.is_dense or self.input_shape is None:
            return spec.n_features
        return spec.input_shape[-1]

    def _initialize(self, rows: Rows, sample: Rows, rng: np.random.RandomState) -> None:
        """Set all that training starts from: network, scaling, weights, noise of the score.

        One-hot groups are looked for in `sample`, the scaling is that of all `rows`.
        """
        from vae_anomaly.training.loop import initial_weights

        spec = self._make_spec()
        self.one_hot_groups_: tuple[tuple[int, int], ...] = ()
        if self.reconstruction_loss == "auto" and spec.is_dense:
            self.one_hot_groups_ = one_hot_groups(sample)
            spec = dataclasses.replace(spec, one_hot_groups=self.one_hot_groups_)
        if spec.likelihood.standardized:
            self.center_, self.scale_, self._varies = fit_scaling(
                rows, self._n_channels(spec), spec.one_hot_groups
            )
        else:
            self.center_, self.scale_ = np.zeros(spec.n_features), np.ones(spec.n_features)
            self._varies = np.ones(spec.n_features, bool)
        # Plain data only: whatever unpickles the detector needs no class of ours for its state.
        self._network = dataclasses.asdict(spec)
        self.latent_dim_ = spec.latent_dim
        self._set_weights(initial_weights(spec, self._initial_scale(), rng))
        self._noise = self._draw_noise(rng)
        self._moments: tuple | None = None
        self.training_scores_ = np.empty(0)
        self.history_: dict[str, list[float]] = {"loss": [], "reconstruction": [], "kl": []}
        self.n_iter_ = 0

    def _go_on(self, rng: np.random.RandomState) -> None:
        """Keep network, scaling and weights of the fit before; set what other parameters set."""
        groups = self.one_hot_groups_ if self.reconstruction_loss == "auto" else ()
        if dataclasses.replace(self._make_spec(), one_hot_groups=groups) != self._spec:
            raise ValueError(
                "warm_start=True cannot go on from a fit with another network; set "
                "warm_start=False to start afresh."
            )
        if not self._spec.likelihood.learns_scale:
            self.observation_scale_ = self._initial_scale()
        if self._spec.variational and self.n_draws != len(self._noise):
            self._noise = self._draw_noise(rng)

    def _draw_noise(self, rng: np.random.RandomState) -> np.ndarray:
        """Return the table of noise of the score, see `scoring.antithetic_noise`."""
        # A generator of its own, so that n_draws does not change the training.
        noise_rng = np.random.RandomState(rng.randint(np.iinfo(np.int32).max))
        n_draws = self.n_draws if self._spec.variational else 0
        return scoring.antithetic_noise(n_draws, self.latent_dim_, noise_rng)

    def _train(self, X: Any, sample_weight: np.ndarray, rng: np.random.RandomState) -> None:
        """Train the present weights on X by the schedule of `fit`, and set the threshold."""
        from vae_anomaly.training.loop import train

        rows = np.arange(X.shape[0])
        if self.early_stopping:
            rows, held_out = train_test_split(
                rows, test_size=self.validation_fraction, random_state=rng
            )
            X_held_out, weight_held_out = X[held_out], sample_weight[held_out]

        def validation_loss(weights: Weights) -> float:
            return -float(np.average(self._scores(X_held_out, weights), weights=weight_held_out))

        weights, self.history_, _ = train(
            self._in_memory(X, sample_weight, rows, rng),
            self._spec,
            self._weights,
            self._settings(self._n_epochs(len(rows)), "training", anneal=True),
            rng,
            validation_loss=validation_loss if self.early_stopping else None,
        )
        self._set_weights(weights)
        self._moments = None
        self.n_iter_ = len(self.history_["loss"])
        self.training_scores_ = self._scores(X)
        unseen = None
        if self.contamination == "auto":
            unseen = self._unseen_scores(X, sample_weight, rng)
        self._set_offset(sample_weight, unseen)

    def _unseen_scores(
        self, X: Any, sample_weight: np.ndarray, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scores, and weights, of half of the rows by a VAE trained on the other half.

        A network scores the rows that it was trained on better than new ones.
        """
        from vae_anomaly.training.loop import initial_weights, train

        seen, unseen = np.array_split(rng.permutation(X.shape[0]), 2)
        weights, _, _ = train(
            self._in_memory(X, sample_weight, seen, rng),
            self._spec,
            initial_weights(self._spec, self._initial_scale(), rng),
            self._settings(self.n_iter_, "training for the threshold", anneal=True),
            rng,
        )
        return self._scores(X[unseen], weights), sample_weight[unseen]

    def _train_one_epoch(self, X: Any, rng: np.random.RandomState) -> None:
        """Train the present weights on X by the schedule of `partial_fit`, and move `offset_`."""
        from vae_anomaly.training.loop import Moments, train

        weights, history, moments = train(
            self._in_memory(X, np.ones(X.shape[0]), np.arange(X.shape[0]), rng),
            self._spec,
            self._weights,
            self._settings(1, "training", anneal=False),
            rng,
            moments=None if self._moments is None else Moments(*self._moments),
        )
        self._set_weights(weights)
        self._moments = tuple(moments)
        self.n_iter_ += 1
        self.history_ = {name: [*self.history_[name], *history[name]] for name in history}
        scores = np.concatenate([self.training_scores_, self._scores(X)])[-_RECENT_SCORES:]
        self.training_scores_ = scores
        self._set_offset(np.ones(len(scores)))

    def _train_on_batches(
        self, read: Callable, n_rows: int, sample: np.ndarray, rng: np.random.RandomState
    ) -> None:
        """Train on what `read` gives by the schedule of `fit`, and set the threshold."""
        from vae_anomaly.training.loop import RowsInBuffers, train

        def chunks() -> Iterator[np.ndarray]:
            return (standardize(X, self.center_, self.scale_) for X in read())

        weights, self.history_, _ = train(
            RowsInBuffers(chunks, n_rows, int(self.batch_size), rng),
            self._spec,
            self._weights,
            self._settings(self._n_epochs(n_rows), "training", anneal=True),
            rng,
        )
        self._set_weights(weights)
        self.n_iter_ = len(self.history_["loss"])
        self.training_scores_ = self._scores(sample)
        self._set_offset(np.ones(len(sample)))

    def _set_offset(
        self, sample_weight: np.ndarray, unseen: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        """Draw the line by the training scores; "auto" also by those of rows unseen, if any."""
        scores = self.training_scores_
        if self.contamination == "auto":
            unseen_scores, weight = unseen or (scores, sample_weight)
            self.offset_ = threshold.auto_offset(unseen_scores, weight, scores)
        else:
            self.offset_ = threshold.quantile_offset(
                scores, sample_weight, float(self.contamination)
            )

    def _n_epochs(self, n_rows: int) -> int:
        if isinstance(self.max_iter, Integral):
            return int(self.max_iter)
        n_epochs = math.ceil(AUTO_STEPS * min(self.batch_size, n_rows) / n_rows)
        return min(n_epochs, AUTO_MAX_EPOCHS)

    def _settings(self, n_epochs: int, progress: str, *, anneal: bool) -> Settings:
        from vae_anomaly.training.loop import Settings

        learning_rate = self.learning_rate_init
        if isinstance(learning_rate, str):
            learning_rate = ARCHITECTURES[self.architecture].learning_rate
        return Settings(
            beta=float(self.beta),
            input_noise=float(self.input_noise),
            batch_size=int(self.batch_size),
            learning_rate=float(learning_rate),
            weight_decay=float(self.weight_decay),
            support_fraction=float(self.support_fraction),
            n_epochs=int(n_epochs),
            anneal=anneal,
            tol=float(self.tol),
            n_iter_no_change=int(self.n_iter_no_change),
            progress=progress if self.verbose else "",
        )

    def _initial_scale(self) -> np.ndarray:
        return self._spec.likelihood.initial_scale(self.n_features_in_, self.observation_noise)

    @property
    def _spec(self) -> NetworkSpec:
        return NetworkSpec(**self._network)

    @property
    def _weights(self) -> Weights:
        return Weights(self.encoder_weights_, self.decoder_weights_, self.observation_scale_)

    def _set_weights(self, weights: Weights) -> None:
        self.encoder_weights_, self.decoder_weights_, self.observation_scale_ = weights
        self.__dict__.pop("_keras_models", None)

    def _reader(self, X: Any) -> scoring.Read:
        return lambda rows: standardize(X[rows], self.center_, self.scale_)

    def _in_memory(
        self, X: Any, sample_weight: np.ndarray, rows: np.ndarray, rng: np.random.RandomState
    ) -> RowsInMemory:
        """Return the given rows of X as the one float32 copy that training needs."""
        from vae_anomaly.training.loop import RowsInMemory

        chunks = (
            standardize(X[rows[chunk]], self.center_, self.scale_)
            for chunk in gen_batches(len(rows), CHUNK_ROWS)
        )
        return RowsInMemory(chunks, sample_weight[rows], X.shape[1], int(self.batch_size), rng)

    def _score_terms(self, X: Any, weights: Weights | None = None) -> tuple[np.ndarray, np.ndarray]:
        return scoring.score_terms(
            self._reader(X),
            X.shape[0],
            self._spec,
            weights or self._weights,
            self._noise,
            self._varies,
        )

    def _scores(self, X: Any, weights: Weights | None = None) -> np.ndarray:
        reconstruction, kl = self._score_terms(X, weights)
        return -(reconstruction + self.beta * kl)

    def _built(self) -> dict[str, keras.Model]:
        """Return the Keras models, made from the weights the first time they are asked for."""
        check_is_fitted(self)
        if "_keras_models" not in self.__dict__:
            from vae_anomaly.networks.keras_networks import build_decoder, build_encoder, build_vae

            rng = np.random.RandomState(0)
            encoder, decoder = build_encoder(self._spec, rng), build_decoder(self._spec, rng)
            encoder.set_weights(self.encoder_weights_)
            decoder.set_weights(self.decoder_weights_)
            vae = build_vae(encoder, decoder)
            self._keras_models = {"encoder": encoder, "decoder": decoder, "vae": vae}
        return self._keras_models

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether a training has come to its end: the threshold is set last."""
        return hasattr(self, "offset_")

    def __getstate__(self) -> dict[str, Any]:
        """Return plain data: parameters, arrays, numbers and strings."""
        state = super().__getstate__().copy()
        state.pop("_keras_models", None)
        return state

    @property
    def _n_features_out(self) -> int:
        return self.latent_dim_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _first_without_numbers(X: Any) -> Any:
    """Return the name of the first column of text or dates in a pandas frame, None without any."""
    if not (hasattr(X, "iloc") and hasattr(X, "columns")):
        return None
    for name, column in X.items():
        try:
            column.dropna().to_numpy().astype(np.float64)
        except (TypeError, ValueError):
            return name
        if column.dtype.kind in "mM":
            return name
    return None


def _positive_integers(values: Any, name: str) -> tuple[int, ...]:
    values = tuple(values)
    if not all(isinstance(value, Integral) and int(value) > 0 for value in values):
        raise ValueError(f"{name} must be positive integers, got {values}.")
    return tuple(map(int, values))


def _count_and_sample(batches: Iterable[Any], rng: np.random.RandomState) -> tuple[int, np.ndarray]:
    """Return the number of all rows, and at most `_SAMPLE_ROWS` of them drawn at random."""
    n_rows, sample, keys = 0, None, np.empty(0)
    for X in batches:
        n_rows += X.shape[0]
        keys = np.concatenate([keys, rng.uniform(size=X.shape[0])])
        rows = as_float64(X)
        sample = rows if sample is None else np.concatenate([sample, rows])
        if len(keys) > _SAMPLE_ROWS:
            kept = np.argpartition(keys, _SAMPLE_ROWS)[:_SAMPLE_ROWS]
            sample, keys = sample[kept], keys[kept]
    return n_rows, np.empty((0, 0)) if sample is None else sample
