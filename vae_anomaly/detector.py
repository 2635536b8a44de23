"""VAEAnomalyDetector: the estimator, its parameters and scikit-learn's methods."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.calibration import fit_calibration
from vae_anomaly.callbacks import CallbackSupportMixin, FitTask
from vae_anomaly.checks import check_estimator_state
from vae_anomaly.columns import Category, Columns, with_levels
from vae_anomaly.decision import OffsetMixin
from vae_anomaly.documentation import DocLinkMixin
from vae_anomaly.encoding import Groups
from vae_anomaly.html_view import LearnedViewMixin
from vae_anomaly.inputs import (
    check_rows,
    check_stream,
    check_table,
    numbers_only,
    without_arrow,
)
from vae_anomaly.learned import Learned, learned_by
from vae_anomaly.losses import LIKELIHOODS
from vae_anomaly.networks.config import NetworkConfig
from vae_anomaly.networks.dense_numpy import ACTIVATIONS
from vae_anomaly.networks.spec import ARCHITECTURES
from vae_anomaly.not_numbers import refuse_masks_and_dates
from vae_anomaly.one_hot import one_hot_groups
from vae_anomaly.parameters import (
    check_same_network,
    divergence_message,
    make_encoding,
    make_plan,
    make_spec,
    n_channels,
)
from vae_anomaly.rows import Stream, Table
from vae_anomaly.scaling import Scaling, fit_scaling
from vae_anomaly.sklearn_private import Interval, StrOptions, _fit_context, _get_output_config
from vae_anomaly.thresholds.offsets import auto_offset, quantile_offset
from vae_anomaly.usual import UsualValues
from vae_anomaly.vae import VAE, antithetic_noise

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from numpy.typing import ArrayLike

    from vae_anomaly.explanations.counterfactuals import Counterfactuals
    from vae_anomaly.explanations.explanation import Explanation
    from vae_anomaly.training.loop import Trained
    from vae_anomaly.training.plan import TrainingPlan

_RECENT_SCORES = 2_000
"""Number of latest rows whose scores set `offset_` in `partial_fit`."""


def _has_a_bound(detector: VAEAnomalyDetector) -> bool:
    """Return True where `score` is defined, or raise telling what to do without it."""
    fitted = getattr(detector, "_vae", None)
    if not (detector.variational if fitted is None else fitted.spec.variational):
        raise AttributeError(
            "A plain autoencoder (variational=False) has no evidence lower bound to score "
            "held-out rows by. Compare models by labels: scoring=make_outlier_scorer(...)."
        )
    return True


class VAEAnomalyDetector(
    LearnedViewMixin,
    CallbackSupportMixin,
    DocLinkMixin,
    OffsetMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Anomaly detection with a variational autoencoder (VAE).

    A VAE learns to compress ordinary rows to a small latent code and to rebuild them from it. A row
    that it cannot rebuild, or whose code lies far from those of all others, is unlike the rows it
    was trained on. The anomaly score of a row is the loss that the network was trained with, in
    nats::

        -score_samples(x) = reconstruction(x) + beta * kl(x)
        reconstruction(x) = E[-log p(x | z)],  z ~ q(z | x) = N(z_mean, exp(z_log_var))
        kl(x)             = KL(q(z | x) || N(0, I))

    which with ``beta=1`` is the negative evidence lower bound, a bound on -log p(x) [1]_.

    Tables can be passed as they are: the columns are standardised internally, and missing values
    (see Notes) and the categories of dataframes are accepted. The sign convention is
    scikit-learn's: an outlier has a low score and the prediction -1.

    Parameters
    ----------
    architecture : {"dense", "conv", "lstm", "gru"}, default="dense"
        The kind of hidden layers; `hidden_layer_sizes` gives their sizes.

        - "dense": fully connected layers. A sample is a row of features.
        - "conv": convolutions of width 5 that halve the size (stride 2), and transposed
          convolutions that double it. A dense layer, with four units for each filter of the last
          convolution, lies between them and the code. A sample is an image or, with
          one-dimensional convolutions, a sequence.
        - "lstm", "gru": recurrent layers, from a sequence to a sequence. The code is computed from
          the encoder's last state and is fed to the decoder at every time step.

    input_shape : tuple of int or None, default=None
        The shape of one sample: (height, width, channels) or (timesteps, features). A row of X is a
        sample flattened in C order, and all methods that take rows also take arrays of shape
        ``(n, *input_shape)``. It also declares that all positions of a channel or feature are
        measured in one unit, so that they are standardised by a common scale. By default, a dense
        network takes the columns as they are, and the others take each row as a sequence of one
        feature.

    variational : bool, default=True
        Whether to train a VAE. If False, a plain autoencoder is trained: the networks are the
        same, but the code is z_mean without noise, the KL divergence is 0 and the score is the
        reconstruction term alone.

    encoder : keras.Model, callable or None, default=None
        A custom encoder that replaces the architecture's: a Keras model, or a function
        ``(input_shape, latent_dim)`` that builds one. It maps samples ``(n, *input_shape)`` to
        [z_mean, z_log_var], each of shape (n, latent_dim); a plain autoencoder needs only the
        first. `fit` trains a copy with newly drawn weights and leaves the model itself unchanged.
        The copy is stored as configuration and weights, so Lambda layers are refused. Layers whose
        state this training loop does not update, such as batch normalisation, and regularizers are
        refused too. `hidden_layer_sizes`, `activation` and `dropout` do not apply to it.

    decoder : keras.Model, callable or None, default=None
        The same for the decoder. It maps codes of shape (n, latent_dim) to samples
        ``(n, *input_shape)``, in standardised units or, with "binary_crossentropy", as
        probabilities.

    hidden_layer_sizes : int, tuple of int or "auto", default="auto"
        The number of units of each dense or recurrent layer of the encoder, or of filters of each
        convolution; the decoder has the same layers in reverse order. An int is a single layer, and
        an empty tuple makes dense networks linear. "auto" means (256, 128) for "dense", (32, 64)
        for "conv" and (64,) for "lstm" and "gru".

    latent_dim : int, default=32
        The number of latent dimensions, and so of the columns that `transform` returns.

    activation : {"elu", "gelu", "linear", "relu", "selu", "sigmoid", "silu", "softplus", \
            "tanh", "auto"}, default="auto"
        The activation function of the hidden layers, by its name in Keras. "auto" means "tanh" for
        "lstm" and "gru", and "relu" for the others.

    reconstruction_loss : {"auto", "mse", "gaussian", "binary_crossentropy"}, default="auto"
        The negative log-likelihood of a row given its code, summed over the features.

        - "auto": like "mse", except that each one-hot group is modelled as one categorical
          variable. A one-hot group is a run of three or more neighbouring columns with two values
          each, of which exactly one is "hot" in every training row; columns in or next to it that
          are always zero, the categories that no training row has, belong to it as well. See
          `one_hot_groups_`. This applies to dense networks; for the others it is "mse".
          Columns named by `categorical_features` are categorical variables in any case.
        - "mse": a normal distribution with the fixed standard deviation `observation_noise`.
        - "gaussian": a normal distribution with one learned variance per feature, at least 1e-4.
        - "binary_crossentropy": a Bernoulli distribution. It takes data in [0, 1], which are not
          standardised.

    categorical_features : "from_dtype", array-like of {bool, int, str} of shape (n_features,) or \
            (n_categorical_features,), or None, default="from_dtype"
        The columns that hold categories instead of numbers, as in
        `sklearn.ensemble.HistGradientBoostingClassifier`. Each of them is one categorical variable.
        A level that only one training row has, and all but the 255 most frequent ones, are rare:
        they share one output of the networks with the levels that no training row has. If there are
        no rare levels, a level that no training row has costs 15 nats, and the encoder's input is
        zero for all levels. A column with just two levels is treated like one of 0 and 1, in which
        such a level is 0.5. Dense networks without `input_shape` take categories.

        - "from_dtype": the columns of a dataframe that are a category of pandas, or a Categorical
          or Enum of polars.
        - bool array: which columns are categorical.
        - int array: the indices of the categorical columns.
        - str array: the names of the categorical columns of a dataframe.
        - None: there are none.

    missing_indicator : bool or "auto", default="auto"
        Whether to add missing indicators, so that a row can be abnormal because a cell is missing,
        whatever its other cells hold. The indicator of a column is 1 where its cell is missing and
        0 elsewhere, and is modelled like a column of X.

        - "auto": only where missing values are exceptional, which is where they are most
          informative: for the columns that are missing in at most 5 % of the training rows,
          provided that no more than 5 % of the rows lack any of these.
        - True: for all columns with missing values in training.
        - False: for none. Which cells are missing then does not affect the score.

        A column without any value in training has none. Only the dense networks of this package,
        without `input_shape`, have indicators.

    observation_noise : float, default=0.1
        The standard deviation of the "mse" likelihood, in units of each column's standard
        deviation. The smaller it is, the more the reconstruction counts against the KL divergence.
        It must lie in [1e-6, 1e6].

    input_noise : float, default=0.35
        The mean standard deviation of the noise that training adds to the encoder's input, in the
        same units. Columns of one-hot groups, whose standard deviation is at most 0.5, get half as
        much. The level is drawn for each row, between zero and twice this value. The target stays
        clean, as in a denoising VAE [2]_, and so do the rows that are scored.

    beta : float, default=1.0
        The weight of the KL divergence, in training and in the score [3]_.

    n_draws : int, default=2
        The number of draws of z over which the score averages the reconstruction. They come from a
        table of noise that `fit` makes and that all rows share, so scores do not change from call
        to call. With 0, z is z_mean: this is faster, but the score is no longer a bound.

    support_fraction : float or "auto", default="auto"
        What training learns from. The network would learn to rebuild unlabelled outliers among the
        training rows too, unless rows with a large KL divergence count less. This affects the
        training only. A plain autoencoder has no KL divergence: all its rows count alike.

        - "auto": every row counts, but with a weight that falls as its KL divergence rises above
          that of the others, ``1 / (1 + (kl / median)**2)``, where the median is that of the batch
          [6]_. This does nearly as well as 0.5 if there are outliers, and costs little if there are
          none.
        - float in (0, 1]: the fraction of each batch that training learns from, namely the rows
          with the smallest KL divergence, as in `sklearn.covariance.MinCovDet`. With 1.0, all rows
          count alike, which is the best choice for rows that are known to be clean. 0.5 withstands
          many outliers, at the cost of some accuracy on clean rows.

    batch_size : int, default=128
        The number of rows per gradient step; all rows if there are fewer.

    learning_rate_init : float or "auto", default="auto"
        Adam's initial learning rate. "auto" means 0.003 for "conv" and 0.001 for the others.

    learning_rate : {"cosine", "constant"}, default="cosine"
        How the learning rate changes during `fit`: "cosine" lets it fall to zero along half a
        cosine, and "constant" keeps it at `learning_rate_init`.

    dropout : float, default=0.0
        The fraction of the hidden units that are dropped in each training step.

    max_iter : int or "auto", default="auto"
        The number of epochs. "auto" means as many as make 2,000 gradient steps, but at least one
        epoch and at most 1,000.

    early_stopping : bool, default=False
        Whether to stop training when the loss of validation rows no longer falls. The weights of
        the best epoch are kept. The validation rows are those passed to `fit` as `X_val`, or else
        are held out at random. `tol`, `n_iter_no_change` and `validation_fraction` have an effect
        only if this is True.

    validation_fraction : float, default=0.1
        The fraction of the rows that is held out for early stopping if `fit` is given no `X_val`.

    n_iter_no_change : int, default=10
        The number of epochs without improvement after which training stops.

    tol : float, default=1e-4
        The smallest decrease of the validation loss that counts as an improvement, in nats.

    contamination : "auto" or float, default="auto"
        How the decision threshold `offset_` is set. The training does not depend on it.

        - "auto": the threshold aims at 1 % of false alarms on new rows, and no guess of the share
          of outliers is needed. A second network is trained on one half of the rows, for as many
          epochs as the first, and scores the other half. A skewed distribution is fitted to the
          bulk of these scores, and the threshold is the point beyond which it leaves 1 %, see
          `AutoThreshold`. After only a few epochs the threshold is lower, so that fewer rows are
          flagged.
        - float in (0, 0.5]: the fraction of the training rows that are called outliers.

    warm_start : bool, default=False
        Whether `fit` continues from the weights of the previous fit. Its scaling, categories,
        missing indicators and one-hot groups are then kept. With ``contamination="auto"``, the
        second network is trained from scratch, for as many epochs as the first has been trained in
        all calls.

    verbose : int, default=0
        Whether to show a progress bar: any positive number shows it. The bar is a widget in
        notebooks that have ipywidgets, and text on stderr elsewhere.

    random_state : int, RandomState instance or None, default=None
        Controls the initial weights, the order of the rows, the noise and dropout. Pass an int for
        reproducible results across calls.

    Attributes
    ----------
    encoder_ : keras.Model
        The encoder, from standardised x to [z_mean, z_log_var].

    decoder_ : keras.Model
        The decoder, from a code z to the mean of x given z, in standardised units.

    vae_ : keras.Model
        Encoder and decoder end to end, with a `Sampling` layer between them.

    offset_ : float
        The threshold: ``decision_function = score_samples - offset_``.

    n_samples_seen_ : int
        The number of rows of the last `fit`, and of each `partial_fit` since.

    data_min_, data_max_ : ndarray of shape (`n_features_in_`,)
        The smallest and the largest value of each column in these rows, NaN for categories and for
        columns without any value.

    training_scores_ : ndarray of shape (n_samples,)
        `score_samples` of the training rows; after `partial_fit`, of the latest 2,000 of them, and
        after `fit_batches`, of a sample.

    history_ : dict of lists
        The mean "loss", "reconstruction" and "kl" over all rows of each epoch, whatever the
        `support_fraction`, and, with early stopping, the "val_loss". `partial_fit` appends to it;
        an epoch without validation has NaN for "val_loss".

    n_iter_ : int
        The number of epochs that were run by the last `fit`, and by each `partial_fit` since.

    latent_dim_ : int
        The number of latent dimensions.

    center_, scale_ : ndarray of shape (n_network_features,)
        The mean and the standard deviation with which the columns are standardised. With
        `input_shape`, all positions of a channel or feature have the same `scale_`, the root mean
        square of their standard deviations. The columns of the networks are those of X, except that
        each categorical column becomes one column per output (one for two levels), and that the
        missing indicators come after them all. The scale of a column without any value in
        training is NaN.

    categories_ : list of tuples
        The levels of each categorical column that have an output of their own.

    is_categorical_ : ndarray of shape (n_features,), dtype bool
        Which columns of X hold categories.

    one_hot_groups_ : tuple of (int, int)
        The groups of network columns that are modelled as one categorical variable each.

    encoder_weights_, decoder_weights_ : list of ndarray
        The trained weights of the networks, in the order of ``keras.Model.get_weights``.

    observation_log_var_ : ndarray of shape (n_network_features,)
        The log variance of the likelihood of each network column, in standardised units.

    n_features_in_ : int
        The number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the features seen during `fit`, if X has feature names that are all strings.

    See Also
    --------
    explain : Tells which columns make a row abnormal, and what was expected.
    counterfactuals : Tells which changes would make a row normal.
    sklearn.ensemble.IsolationForest : Isolates rows by random splits.
    sklearn.neighbors.LocalOutlierFactor : Compares densities of neighbourhoods.
    sklearn.mixture.GaussianMixture : Models the density as a mixture of normal distributions.

    Notes
    -----
    A fit is all or nothing: if it raises an error or is interrupted, the detector stays as it was
    before. Parameters that are set afterwards have no effect until the next fit.

    `z_log_var` is bounded to (-10, 10), and standardised values are clipped to [-1e6, 1e6]. The
    unit of a column that was constant in training is one millionth of its value, so the score is
    huge when it changes. The encoder does not see the change, so the code remains that of the
    other columns.

    A missing cell, which is NaN, None or NA, adds nothing to the reconstruction [4]_. The encoder
    is given what the decoder expects there, found in five rounds of encoding and decoding that
    start from the mean of the column (from zero for categories and with "binary_crossentropy")
    [5]_, in training as in scoring; rows without missing cells are computed as if there were none.
    So that rows with different cells missing stay comparable, each missing cell adds the mean
    reconstruction of its column over the bulk of ordinary rows, and the part of the KL divergence
    that is lost with it is added too. As a sum of fewer terms varies less, the difference to the
    mean score is then divided by a power of the observed share of the row, which is measured by
    hiding cells of these rows. With ``contamination="auto"`` they are new to the network that
    scores them. Apart from its indicators, a row without any observed cell has the mean score. See
    `vae_anomaly.calibration`. A column without any value in training adds nothing either.

    Scores are computed in float32 on blocks of rows of a fixed size, so the same row gets exactly
    the same score in any batch, in any order and in any process on one machine. While rows are
    scored, the BLAS library of NumPy is limited to one thread for the whole process.

    The first fit imports TensorFlow, which writes messages to stderr; they are suppressed if no
    other thread is running. TensorFlow does not survive a fork: training in a process that was
    forked from one that had used it raises an error. Scoring with dense networks works there.

    The metrics of scikit-learn expect high scores for the positive class. With outliers labelled
    1, ``scoring="roc_auc"`` would therefore reward the worst detector; use
    `vae_anomaly.make_outlier_scorer` instead.

    References
    ----------
    .. [1] Kingma, D. P. and Welling, M., "Auto-Encoding Variational Bayes", ICLR 2014.
    .. [2] Im, D. J. et al., "Denoising Criterion for Variational Auto-Encoding Framework", AAAI
       2017.
    .. [3] Higgins, I. et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
       Variational Framework", ICLR 2017.
    .. [4] Mattei, P.-A. and Frellsen, J., "MIWAE: Deep Generative Modelling and Imputation of
       Incomplete Data Sets", ICML 2019.
    .. [5] Rezende, D. J., Mohamed, S. and Wierstra, D., "Stochastic Backpropagation and Approximate
       Inference in Deep Generative Models", ICML 2014.
    .. [6] Holland, P. W. and Welsch, R. E., "Robust Regression Using Iteratively Reweighted
       Least-Squares", Communications in Statistics 6(9), 1977: Cauchy's weights.

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
    _not_in_view = frozenset({"encoder_", "decoder_", "vae_"})  # which import TensorFlow

    _parameter_constraints: dict[str, list[Any]] = {
        "architecture": [StrOptions(set(ARCHITECTURES))],
        "input_shape": ["array-like", None],
        "variational": ["boolean"],
        "encoder": [callable, None],
        "decoder": [callable, None],
        "hidden_layer_sizes": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            "array-like",
        ],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"auto", *ACTIVATIONS})],
        "reconstruction_loss": [StrOptions({"auto", *LIKELIHOODS})],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "missing_indicator": ["boolean", StrOptions({"auto"})],
        "observation_noise": [Interval(Real, 0, None, closed="neither")],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "n_draws": [Interval(Integral, 0, None, closed="left")],
        "support_fraction": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="right")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "learning_rate": [StrOptions({"cosine", "constant"})],
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
        hidden_layer_sizes: int | tuple[int, ...] | str = "auto",
        latent_dim: int = 32,
        activation: str = "auto",
        reconstruction_loss: str = "auto",
        categorical_features: ArrayLike | str | None = "from_dtype",
        missing_indicator: bool | str = "auto",
        observation_noise: float = 0.1,
        input_noise: float = 0.35,
        beta: float = 1.0,
        n_draws: int = 2,
        support_fraction: float | str = "auto",
        batch_size: int = 128,
        learning_rate_init: float | str = "auto",
        learning_rate: str = "cosine",
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
        self.categorical_features = categorical_features
        self.missing_indicator = missing_indicator
        self.observation_noise = observation_noise
        self.input_noise = input_noise
        self.beta = beta
        self.n_draws = n_draws
        self.support_fraction = support_fraction
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
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
    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the VAE and set the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training rows. Ideally they are free of outliers. A few do little harm; see
            `support_fraction` if there are more.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The weight of each row in the loss, the scaling and the threshold. Rows of weight zero
            are left out.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features) or None, default=None
            The validation rows for early stopping. By default they are held out from X at random;
            pass later rows if the order of the rows matters.
        sample_weight_val : array-like of shape (n_val,) or None, default=None
            The weights of the validation rows.

        Returns
        -------
        self : VAEAnomalyDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter, X or a weight is not valid, or training diverges.
        RuntimeError
            If TensorFlow cannot be used in this process: it was forked from one that had used
            TensorFlow, or eager execution is disabled.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0)
        >>> detector.fit(X)
        VAEAnomalyDetector(max_iter=5, random_state=0)

        Hold out the latest rows for early stopping, instead of rows drawn at random:

        >>> detector.set_params(early_stopping=True).fit(X[:100], X_val=X[100:]).n_samples_seen_
        100
        """
        continuing = self.warm_start and self.__sklearn_is_fitted__()
        table, columns = check_table(self, X, sample_weight, reset=not continuing)
        validation = self._check_validation(X_val, sample_weight_val, columns)
        rng = self._random_numbers(continuing)
        vae = self._vae_to_train(table, columns, rng, continuing=continuing)

        training = table
        if self.early_stopping and validation is None:
            kept, held_out = train_test_split(
                np.arange(table.n_rows), test_size=self.validation_fraction, random_state=rng
            )
            training, validation = table.take(kept), table.take(held_out)
        n_epochs_before = self._n_epochs if continuing else 0
        plan = make_plan(self, training.n_rows)
        task = self._fit_task(vae, columns, table, plan, X)
        vae, trained = self._train(vae, training, plan, rng, validation=validation, task=task)
        n_iter = len(trained.history["loss"])
        unseen = None
        if self.contamination == "auto":
            plan = make_plan(
                self,
                training.n_rows,
                n_epochs_before=n_epochs_before,
                progress="training for the threshold",
            )
            plan = dataclasses.replace(plan, n_epochs_to_run=n_epochs_before + n_iter)
            other, new = self._trained_on_half(vae, table, plan, rng)
            calibration = fit_calibration(other, new.X, n_iter * training.n_rows)
            other = other.with_calibration(calibration)
            unseen = self._scores(other, new), new.sample_weight
        else:
            calibration = fit_calibration(vae, training.X, n_iter * training.n_rows)
        vae = vae.with_calibration(calibration)
        scores = self._scores(vae, table)
        offset = self._offset(scores, table.sample_weight, unseen)
        seen = _seen(table, columns)
        return self._finish(task, columns, vae, trained, scores, offset, seen, n_epochs_before)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches: Any) -> Self:
        """Train the VAE on rows that do not fit into memory.

        This does the same as `fit`, except for the following:

        - Rows are shuffled only within a buffer of 65,536 rows, so they should not be sorted.
        - The threshold and the search for one-hot groups use a random sample of 10,000 rows, whose
          scores become `training_scores_`.
        - No second network is trained for ``contamination="auto"``, as a network hardly memorises
          single rows out of so many.
        - There are no sample weights and no validation rows: ``early_stopping=True`` is refused.
        - The training always starts from scratch: with ``warm_start=True`` a fitted detector is
          refused.

        Parameters
        ----------
        batches : iterable or callable
            Yields X in parts, each an array-like, sparse matrix or dataframe of shape
            (n_rows, n_features) with any number of rows. It is read twice before the training, and
            then once per epoch: pass a list, a `tf.data.Dataset`, a `pyarrow.dataset.Dataset` or a
            function that returns a new iterator each time, such as a generator function. A
            generator can be read only once and is refused.

        Returns
        -------
        self : VAEAnomalyDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter or a batch is not valid, or training diverges.
        RuntimeError
            If TensorFlow cannot be used in this process, see `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> def batches():
        ...     for seed in range(3):
        ...         yield np.random.RandomState(seed).normal(size=(100, 4))
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit_batches(batches)
        >>> detector.n_samples_seen_
        300
        """
        if self.warm_start and self.__sklearn_is_fitted__():
            raise ValueError(
                "fit_batches starts from scratch and would discard the weights that "
                "warm_start=True keeps. Set warm_start=False, or go on with partial_fit."
            )
        if self.early_stopping:
            raise ValueError(
                "fit_batches holds no rows out, so early_stopping=True would have no effect. Set "
                "early_stopping=False, and max_iter to limit the training."
            )
        rng = check_random_state(self.random_state)
        stream, columns = check_stream(self, batches, rng)
        vae = self._vae_to_train(stream, columns, rng)
        plan = make_plan(self, stream.n_rows)
        task = self._fit_task(vae, columns, stream.sample, plan, stream.sample.X)
        vae, trained = self._train(vae, stream, plan, rng, task=task)
        n_trained = stream.n_rows * len(trained.history["loss"])
        vae = vae.with_calibration(fit_calibration(vae, stream.sample.X, n_trained))
        scores = self._scores(vae, stream.sample)
        offset = self._offset(scores, stream.sample.sample_weight)
        seen = _seen(stream, columns)
        return self._finish(task, columns, vae, trained, scores, offset, seen)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on a batch of rows, starting from the current weights.

        The first call determines the scaling of the columns, their categories and which of them
        have missing indicators, so its batch should be representative. The learning rate is
        constant at `learning_rate_init`, and `early_stopping` has no effect. `offset_` is set from
        the scores of the latest 2,000 rows, each of which was scored at the end of the call that
        passed it. The correction that makes rows with missing cells comparable is measured again
        each time the number of calls has doubled.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training rows.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The weight of each row in the loss, relative to the other rows of this call, and in the
            scaling if it is the first call. Rows of weight zero are left out.

        Returns
        -------
        self : VAEAnomalyDetector
            The detector, trained further.

        Raises
        ------
        ValueError
            If a parameter, X or `sample_weight` is not valid, a parameter of the network has
            changed since the last call, or training diverges.
        RuntimeError
            If TensorFlow cannot be used in this process, see `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> detector = VAEAnomalyDetector(random_state=0)
        >>> for batch in np.split(load_iris().data[:, :3], 3):
        ...     detector = detector.partial_fit(batch)
        >>> detector.n_iter_, detector.n_samples_seen_
        (3, 150)
        """
        continuing = self.__sklearn_is_fitted__()
        self._validate_params()  # which scikit-learn leaves out once the detector is fitted
        table, columns = check_table(
            self, X, sample_weight, reset=not continuing, min_rows=1 if continuing else 2
        )
        rng = self._random_numbers(continuing)
        vae = self._vae_to_train(table, columns, rng, continuing=continuing)
        plan = dataclasses.replace(
            make_plan(self, table.n_rows),
            cosine=False,
            warm_up=False,
            n_epochs=1,
            n_epochs_to_run=1,
        )
        moments = self._moments if continuing else None
        calibration = vae.calibration
        vae, trained = self._train(vae, table, plan, rng, moments=moments)
        n_epochs = 1 + (self._n_epochs if continuing else 0)
        if n_epochs & (n_epochs - 1) == 0:  # the longer it is trained, the less it changes
            calibration = fit_calibration(vae, table.X, n_epochs * table.n_rows)
        vae = vae.with_calibration(calibration)
        scores = self._scores(vae, table)
        history = dict(trained.history)
        if continuing:
            history = {
                name: [*losses, *history.get(name, [np.nan])]
                for name, losses in self.history_.items()
            }
            scores = np.concatenate([self.training_scores_, scores])[-_RECENT_SCORES:]
        else:
            scores = scores[-_RECENT_SCORES:]
        self._store(
            {
                **columns.attributes(),
                **_seen(table, columns, self if continuing else None),
                "_vae": vae,
                "_moments": tuple(trained.moments),
                "_n_epochs": n_epochs,
                "history_": history,
                "n_iter_": 1 + (self.n_iter_ if continuing else 0),
                "training_scores_": scores,
                "offset_": self._offset(scores, np.ones(len(scores))),
                "_offset_is_auto": self.contamination == "auto",
            }
        )
        return self

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the opposite of the anomaly score of each row.

        This is ``-(reconstruction + beta * kl)``, the negated training loss.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The scores in nats, float64. The lower, the more abnormal.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other columns than in `fit`, infinite values, or text in a
            column of numbers. The message names the column and the row where it can.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> scores = detector.score_samples([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 9.0]])
        >>> scores.shape, bool(scores[0] > scores[1])
        ((2,), True)
        """
        return self._fitted_vae().score(self._check(X))

    def score_components(self, X: ArrayLike) -> Any:
        """Return the two terms of the anomaly score of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        components : DataFrame of shape (n_samples, 2)
            The columns "reconstruction" and "kl", in nats, such that ``reconstruction + beta * kl``
            equals ``-score_samples(X)``. `set_output` chooses between pandas and polars; by
            default, the result is a polars dataframe if X is one, and a pandas dataframe otherwise.
            A pandas dataframe has the index of X if X has one.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other columns than in `fit`, infinite values, or text in a
            column of numbers. The message names the column and the row where it can.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> components = detector.score_components(X)
        >>> components.columns.tolist()
        ['reconstruction', 'kl']
        >>> np.allclose(components.sum(axis=1), -detector.score_samples(X))
        True
        """
        reconstruction, kl = self._fitted_vae().terms(self._check(X))
        components = {"reconstruction": reconstruction, "kl": kl}
        container = _get_output_config("transform", self)["dense"]
        if container == "default":
            container = "polars" if type(X).__module__.startswith("polars") else "pandas"
        if container == "polars":
            import polars as pl

            return pl.DataFrame(components)
        import pandas as pd

        return pd.DataFrame(components, index=X.index if isinstance(X, pd.DataFrame) else None)

    def explain(self, X: ArrayLike, *, attribution: str = "terms") -> Explanation:
        """Explain the scores of rows: what each column adds, and what was expected instead.

        `vae_anomaly.explain` does the same for Pipelines and meta-estimators, in the columns that
        these are given.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to explain.
        attribution : {"terms", "hiding"}, default="terms"
            How the score is divided among the columns: by its terms, which is fast, or by how much
            it falls when a column is hidden, which finds the cause more often.

        Returns
        -------
        explanation : Explanation
            The contributions, which sum to ``-score_samples(X)``, and the values that were
            observed, expected and usual.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X or `attribution` is not valid.

        See Also
        --------
        vae_anomaly.explain : Explains Pipelines and meta-estimators as well.
        explain_text : Says the same in sentences.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> explanation = detector.explain([[5.1, 3.5, 1.4, 9.0]])
        >>> explanation.contributions.columns.tolist()
        ['x0', 'x1', 'x2', 'x3', '(code)']
        >>> explanation.contributions.shape
        (1, 5)
        """
        from vae_anomaly.explanations.explain import explain

        return explain(self, X, attribution=attribution)

    def explain_text(
        self,
        X: ArrayLike,
        n_reasons: int = 3,
        *,
        attribution: str = "hiding",
        units: Mapping[Any, str] | None = None,
    ) -> pd.Series:
        """Say in one sentence for each row what makes it abnormal.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to explain, usually alarms.
        n_reasons : int, default=3
            The largest number of reasons in a sentence.
        attribution : {"hiding", "terms"}, default="hiding"
            How the score is divided among the columns, see `explain`. Pass "terms" for many rows.
        units : mapping of str to str or None, default=None
            The units of the columns by name, such as ``{"amount": "EUR"}``.

        Returns
        -------
        sentences : Series of shape (n_samples,)
            The sentences, such as "amount 9,120 EUR, where 40 to 310 EUR is usual (71 % of the
            score); hour 3, where 14 is expected (12 %)".

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X or `attribution` is not valid, or `n_reasons` is less than 1.
        TypeError
            If `n_reasons` is not an integer, or `units` is not a mapping.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> detector.explain_text([[5.1, 3.5, 1.4, 9.0]], n_reasons=1)[0]
        'x3 9, where 0.2 to 2.3 is usual (... % of the score)'
        """
        return self.explain(X, attribution=attribution).text(n_reasons, units=units)

    def counterfactuals(self, X: ArrayLike, *, max_changes: int | None = None) -> Counterfactuals:
        """Change as few columns of each row as possible to make it normal.

        Columns are changed one at a time, to what the decoder expects there, until the score is not
        above the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows. Those that are normal are left as they are.
        max_changes : int or None, default=None
            The largest number of columns to change in a row. By default all may be changed.

        Returns
        -------
        counterfactuals : Counterfactuals
            The changed rows, and the score after each change.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid, or `max_changes` is less than 1.
        TypeError
            If `max_changes` is not an integer.

        See Also
        --------
        vae_anomaly.counterfactuals : Does the same for Pipelines and meta-estimators.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> found = detector.counterfactuals([[5.1, 3.5, 1.4, 9.0]])
        >>> found.changes["column"].tolist(), found.is_normal.tolist()
        (['x3'], [True])
        """
        from vae_anomaly.explanations.counterfactuals import counterfactuals

        return counterfactuals(self, X, max_changes=max_changes)

    @available_if(_has_a_bound)
    def score(self, X: ArrayLike, y: object = None) -> float:
        """Return the mean evidence lower bound of rows, for model selection without labels.

        The KL divergence is counted once whatever `beta`, and the likelihood includes its
        normalising constant, so that networks, noise levels and latent dimensions can be compared
        on held-out rows. The bound cannot compare different preprocessing, nor likelihoods of
        standardised columns with those of raw columns. Plain autoencoders have no such bound, and
        so they lack this method; compare them with a labelled scorer
        (`vae_anomaly.make_outlier_scorer`).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Held-out rows.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            The mean over the rows, in nats of standardised columns; higher is better.

        Raises
        ------
        AttributeError
            If the detector is a plain autoencoder, with ``variational=False``.
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other columns than in `fit`, infinite values, or text in a
            column of numbers. The message names the column and the row where it can.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> detector.score(X) > detector.score(X + 10)
        True
        """
        return self._fitted_vae().evidence(self._check(X))

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compress rows to the latent space.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to compress.

        Returns
        -------
        z_mean : ndarray of shape (n_samples, latent_dim)
            The mean of q(z | x), in units of the standard deviation of the prior.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other columns than in `fit`, infinite values, or text in a
            column of numbers. The message names the column and the row where it can.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> detector.transform(X).shape
        (150, 32)
        """
        return self._fitted_vae().encode(self._check(X))

    def inverse_transform(self, X: ArrayLike) -> Any:
        """Decode points of the latent space.

        Parameters
        ----------
        X : array-like of shape (n_samples, latent_dim)
            The points of the latent space.

        Returns
        -------
        X_decoded : ndarray or DataFrame of shape (n_samples, n_features)
            The mean of x given z, in the units of the training data, and the most probable level of
            each categorical column. It is float64 if these units exceed the range of float32. With
            categorical columns that have names, it is a dataframe: of pandas, or of polars if
            `set_output` says so.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X does not have `latent_dim_` columns, or holds values that are not finite numbers.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> detector.inverse_transform(detector.transform(X)).shape
        (150, 4)
        """
        vae = self._fitted_vae()
        refuse_masks_and_dates(X)
        Z = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if Z.shape[1] != vae.spec.latent_dim:
            raise ValueError(
                f"X has {Z.shape[1]} columns, but the latent space has {vae.spec.latent_dim} "
                "dimensions; pass what transform returns."
            )
        container = _get_output_config("transform", self)["dense"]
        return with_levels(vae.decode(Z), Columns.of(self), container=container)

    def reconstruct(self, X: ArrayLike) -> Any:
        """Rebuild rows from their latent code, which removes noise and fills in missing cells.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to rebuild.

        Returns
        -------
        X_rebuilt : ndarray or DataFrame of the shape of X
            The mean of x given z at z_mean, in the units of the training data, and the most
            probable level of each categorical column. It is float64 if these units exceed the range
            of float32. With categorical columns, the result is a dataframe if X is one. Columns
            without any value in training stay missing.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other columns than in `fit`, infinite values, or text in a
            column of numbers. The message names the column and the row where it can.

        See Also
        --------
        score_components : Tells how well each row is rebuilt.

        Examples
        --------
        Fill in the missing cells of a dataframe:

        >>> import numpy as np
        >>> import pandas as pd
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
        >>> X = pd.DataFrame({"t": t, "side": pd.Categorical(np.where(t < 3, "left", "right"))})
        >>> detector = VAEAnomalyDetector(max_iter=50, random_state=0).fit(X)
        >>> new = X.head(3).assign(side=pd.Categorical([None, "right", None], dtype=X.side.dtype))
        >>> new.fillna(detector.reconstruct(new)).side.tolist()
        ['right', 'right', 'right']
        """
        rebuilt = self._fitted_vae().reconstruct(self._check(X)).reshape(np.shape(X))
        return with_levels(rebuilt, Columns.of(self), without_arrow(X))

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """Generate new rows like those of the training.

        Parameters
        ----------
        n_samples : int, default=1
            The number of rows to generate.
        random_state : int, RandomState instance or None, default=None
            Controls the codes that are drawn. Pass an int for reproducible results.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            The means of x given codes that are drawn from the prior N(0, I), as
            `inverse_transform` returns them; ``X.reshape(-1, *input_shape)`` turns the rows into
            samples. A plain autoencoder has not been trained to decode such codes.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If `n_samples` is less than 1.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> detector.sample(3, random_state=0).shape
        (3, 4)
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
        rng = check_random_state(random_state)
        return self.inverse_transform(rng.standard_normal((n_samples, self.latent_dim_)))

    @property
    def encoder_(self) -> keras.Model:
        """The encoder, from standardised x to [z_mean, z_log_var].

        It maps ``(X - center_) / scale_``, of shape ``(n, *input_shape)``, to two arrays of shape
        (n, latent_dim), or to z_mean alone in a plain autoencoder. If there are categories or
        missing indicators, it takes one column for each entry of `center_`.
        """
        return self._vae.keras_models[0]

    @property
    def decoder_(self) -> keras.Model:
        """The decoder, from a code z to the mean of x given z, in standardised units.

        It maps an array of shape (n, latent_dim) to ``(n, *input_shape)``. ``x * scale_ + center_``
        turns the result into the units of X.
        """
        return self._vae.keras_models[1]

    @property
    def vae_(self) -> keras.Model:
        """Encoder and decoder end to end, with a `Sampling` layer between them.

        It draws a new code in each call. A plain autoencoder has no such layer.
        """
        return self._vae.keras_models[2]

    @property
    def latent_dim_(self) -> int:
        """The number of latent dimensions."""
        return self._vae.spec.latent_dim

    @property
    def center_(self) -> np.ndarray:
        """The mean of each network column, (n_network_features,), in the units of X."""
        return self._vae.scaling.center

    @property
    def scale_(self) -> np.ndarray:
        """The standard deviation of each network column, (n_network_features,)."""
        return self._vae.scaling.scale

    @property
    def categories_(self) -> list[tuple[Any, ...]]:
        """The levels of each categorical column that have an output of their own.

        They are in the order of the columns.
        """
        return [category.levels for category in self._categories]

    @property
    def is_categorical_(self) -> np.ndarray:
        """Whether each column of X holds categories, (`n_features_in_`,)."""
        is_categorical = np.zeros(self.n_features_in_, bool)
        is_categorical[[category.column for category in self._categories]] = True
        return is_categorical

    @property
    def one_hot_groups_(self) -> tuple[tuple[int, int], ...]:
        """The groups of network columns that are modelled as one categorical variable each.

        Each group is given by its first column and by the column after its last.
        """
        return self._vae.spec.one_hot_groups

    @property
    def encoder_weights_(self) -> list[np.ndarray]:
        """The weights of the encoder, in the order of ``keras.Model.get_weights``."""
        return self._vae.weights.encoder

    @property
    def decoder_weights_(self) -> list[np.ndarray]:
        """The weights of the decoder, in the order of ``keras.Model.get_weights``."""
        return self._vae.weights.decoder

    @property
    def observation_log_var_(self) -> np.ndarray:
        """The log variance of the likelihood of each network column, in standardised units.

        It has the shape (n_network_features,); see `vae_anomaly.losses.Likelihood`.
        """
        return self._vae.weights.observation_log_var

    def _fitted_vae(self) -> VAE:
        check_is_fitted(self)
        return self._vae

    def _check(self, X: Any) -> Any:
        """Return rows to score as a float array or CSR matrix."""
        spec = self._vae.spec
        return check_rows(self, X, spec.input_shape, spec.reconstruction_loss)

    def _check_validation(self, X: Any, sample_weight: Any, columns: Columns) -> Table | None:
        if X is None:
            if sample_weight is not None:
                raise ValueError("sample_weight_val would have no effect: pass X_val too.")
            return None
        if not self.early_stopping:
            raise ValueError("X_val would have no effect: set early_stopping=True.")
        try:
            return check_table(self, X, sample_weight, columns=columns, min_rows=1)[0]
        except ValueError as error:
            raise ValueError(f"X_val is not valid: {error}") from None

    def _random_numbers(self, continuing: bool) -> np.random.RandomState:
        if continuing and isinstance(self.random_state, Integral):
            # A call that goes on would draw the very numbers of the call before.
            return np.random.RandomState([int(self.random_state), self._n_epochs])
        return check_random_state(self.random_state)

    def _vae_to_train(
        self,
        data: Table | Stream,
        columns: Columns,
        rng: np.random.RandomState,
        *,
        continuing: bool = False,
    ) -> VAE:
        """Return the VAE that training starts from."""
        from vae_anomaly.backend import check_usable

        check_usable()
        if continuing:
            return self._vae_to_continue(columns, rng)
        return self._new_vae(data, columns, rng)

    def _new_vae(self, data: Table | Stream, columns: Columns, rng: np.random.RandomState) -> VAE:
        """Return what training starts from: networks, scaling, weights, noise of the score."""
        from vae_anomaly.training.loop import initial_weights

        encoding = make_encoding(self, data, columns)
        spec = make_spec(self, encoding.n_features, encoding.groups)
        found: Groups = ()
        if self.reconstruction_loss == "auto" and spec.is_dense:
            found = one_hot_groups(*_numbers(data, columns))
            spans = [(encoding.span(first)[0], encoding.span(end - 1)[1]) for first, end in found]
            groups = tuple(sorted([*spans, *encoding.groups]))
            spec = dataclasses.replace(spec, one_hot_groups=groups)
        if spec.likelihood.standardized:
            channels = n_channels(self, encoding)
            scaling = fit_scaling(data, channels, encoding, found, columns.names)
        else:
            scaling = Scaling.identity(data, encoding)
        log_var = spec.likelihood.initial_log_var(spec.n_features, self.observation_noise)
        weights = initial_weights(spec, log_var, rng)
        n_draws = self.n_draws if spec.variational else 0
        noise = antithetic_noise(n_draws, spec.latent_dim, _spawned(rng))
        return VAE(spec, encoding, scaling, weights, noise, float(self.beta))

    def _vae_to_continue(self, columns: Columns, rng: np.random.RandomState) -> VAE:
        """Return the fitted VAE, with what parameters set besides the network taken over."""
        vae = self._vae
        spec, encoding = vae.spec, vae.encoding
        if encoding.indicators and not self.missing_indicator:
            raise ValueError(
                "missing_indicator has changed to False: this describes another network "
                "than that of the previous fit. Set it back, or start afresh."
            )
        groups = spec.one_hot_groups if self.reconstruction_loss == "auto" else encoding.groups
        check_same_network(spec, make_spec(self, encoding.n_features, groups))
        if not vae.spec.likelihood.learns_variance:
            log_var = vae.spec.likelihood.initial_log_var(
                vae.spec.n_features, self.observation_noise
            )
            weights = vae.weights._replace(observation_log_var=log_var)
            vae = dataclasses.replace(vae, weights=weights)
        if vae.spec.variational and self.n_draws != len(vae.noise):
            noise = antithetic_noise(self.n_draws, vae.spec.latent_dim, _spawned(rng))
            vae = dataclasses.replace(vae, noise=noise)
        return dataclasses.replace(vae, beta=float(self.beta))

    def _train(
        self,
        vae: VAE,
        data: Table | Stream,
        plan: TrainingPlan,
        rng: np.random.RandomState,
        *,
        validation: Table | None = None,
        moments: tuple | None = None,
        task: FitTask | None = None,
    ) -> tuple[VAE, Trained]:
        """Return the VAE trained on `data`, and how."""
        from vae_anomaly.training import loop

        validation_loss: Callable | None = None
        if validation is not None:

            def validation_loss(weights: Any) -> float:
                scores = vae.with_weights(weights).score(validation.X)
                return -float(np.average(scores, weights=validation.sample_weight))

        # The values of a column that had none in the first training count as missing.
        has_missing = bool(data.survey.n_missing.any() or np.isnan(vae.scaling.scale).any())
        trained = loop.train(
            data.batches(vae.standardize, plan.batch_size, rng, has_missing=has_missing),
            vae.spec,
            vae.weights,
            plan,
            rng,
            moments=None if moments is None else loop.Moments(*moments),
            validation_loss=validation_loss,
            on_epoch_end=task.end_epoch if task is not None and task.is_watched else None,
        )
        weights = trained.weights
        if not all(np.isfinite(array).all() for array in (*weights.encoder, *weights.decoder)):
            raise ValueError(divergence_message(self))
        return vae.with_weights(weights), trained

    def _scores(self, vae: VAE, table: Table) -> np.ndarray:
        """Return the scores of training rows, (n,), or raise ValueError if training diverged."""
        scores = vae.score(table.X)
        if not np.isfinite(scores).all():
            raise ValueError(divergence_message(self))
        return scores

    def _trained_on_half(
        self, vae: VAE, table: Table, plan: TrainingPlan, rng: np.random.RandomState
    ) -> tuple[VAE, Table]:
        """Return a VAE trained on one half of the rows, and the other half.

        A network scores the rows that it was trained on better than new ones.
        """
        from vae_anomaly.training.loop import initial_weights

        seen, unseen = map(table.take, np.array_split(rng.permutation(table.n_rows), 2))
        log_var = vae.spec.likelihood.initial_log_var(vae.spec.n_features, self.observation_noise)
        vae = vae.with_weights(initial_weights(vae.spec, log_var, rng))
        return self._train(vae, seen, plan, rng)[0], unseen

    def _offset(
        self,
        scores: np.ndarray,
        sample_weight: np.ndarray,
        unseen: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> float:
        """Return the threshold by the training scores; "auto" also by those of unseen rows."""
        if self.contamination == "auto":
            return auto_offset(*(unseen or (scores, sample_weight)), scores)
        return quantile_offset(scores, sample_weight, float(self.contamination))

    def _fit_task(
        self, vae: VAE, columns: Columns, table: Table, plan: TrainingPlan, X: Any
    ) -> FitTask:
        """Return the task that scikit-learn's callbacks follow while `vae` is trained."""

        def reconstruct(weights: Any) -> dict[str, Any]:
            return self._state_of(vae.with_weights(weights), columns, table)

        return FitTask(self, plan.n_epochs, reconstruct, X=X)

    def _state_of(self, vae: VAE, columns: Columns, table: Table) -> dict[str, Any]:
        """Return the attributes with which a copy predicts as if training had ended with `vae`."""
        scores = vae.score(table.X)
        return {
            **columns.attributes(),
            **_seen(table, columns),
            "_vae": vae,
            "training_scores_": scores,
            "offset_": self._offset(scores, table.sample_weight),
        }

    def _finish(
        self,
        task: FitTask,
        columns: Columns,
        vae: VAE,
        trained: Trained,
        scores: np.ndarray,
        offset: float,
        seen: dict[str, Any],
        n_epochs_before: int = 0,
    ) -> Self:
        """End the task of a fit, and store what the fit has made."""
        n_iter = len(trained.history["loss"])
        state = {
            **columns.attributes(),
            **seen,
            "_vae": vae,
            "_moments": None,
            "_n_epochs": n_epochs_before + n_iter,
            "history_": trained.history,
            "n_iter_": n_iter,
            "training_scores_": scores,
            "offset_": offset,
            "_offset_is_auto": self.contamination == "auto",
        }
        task.end(state)
        self._store(state)
        return self

    def _store(self, state: dict[str, Any]) -> None:
        """Assign what a fit has made, all at once."""
        kept = {name: value for name, value in vars(self).items() if name != "feature_names_in_"}
        self.__dict__ = {**kept, **state}

    def _learned(self) -> Learned:
        return learned_by(self)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether a training has come to its end."""
        return hasattr(self, "_vae")

    def __getstate__(self) -> dict[str, Any]:
        """Return plain data: parameters, arrays, numbers and strings.

        Custom networks are represented by their configuration.
        """
        state = super().__getstate__().copy()
        for name in ("encoder", "decoder"):
            state[name] = self._stored_network(name)
        if "_vae" in state:
            state["_vae"] = state["_vae"].to_state()
            state["_categories"] = tuple(map(tuple, state["_categories"]))
            state["_usual"] = tuple(state["_usual"])
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy, whose networks are given as they are here, for they need no storage."""
        state = self.__getstate__() | {"encoder": self.encoder, "decoder": self.decoder}
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(state, memo))
        return copied

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` has returned."""
        super().__setstate__(state)
        if "_vae" in state:
            self._vae = VAE.from_state(state["_vae"])
            self._categories = tuple(Category(*category) for category in state["_categories"])
            self._usual = UsualValues(*state["_usual"])
            check_estimator_state(self)

    def _stored_network(self, name: str) -> Any:
        """Return what is stored of the parameter `encoder` or `decoder`."""
        own = getattr(self, name)
        if own is None or isinstance(own, NetworkConfig):
            return own
        if hasattr(own, "to_json"):  # a Keras model, maybe set after fit
            with contextlib.suppress(NotImplementedError):  # fit tells that it has none
                return NetworkConfig(own.to_json())
        fitted = getattr(self._vae.spec, f"{name}_config") if hasattr(self, "_vae") else None
        return own if fitted is None else NetworkConfig(fitted)

    @property
    def _n_features_out(self) -> int:
        return self.latent_dim_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _numbers(data: Table | Stream, columns: Columns) -> tuple[Table, np.ndarray, np.ndarray]:
    """Return a sample of the rows, and the bounds of all, with NaN in categorical columns."""
    categorical = [category.column for category in columns.categories]
    table = data.sample
    if categorical:
        table = Table(numbers_only(table.X, categorical), table.sample_weight)
    low, high, _ = data.survey
    return table, *(numbers_only(bound[None], categorical)[0] for bound in (low, high))


def _seen(
    data: Table | Stream, columns: Columns, before: VAEAnomalyDetector | None = None
) -> dict[str, Any]:
    """Return the attributes that tell what has been trained on, in these rows and `before` them."""
    categorical = [category.column for category in columns.categories]
    low, high = (numbers_only(bound[None], categorical)[0] for bound in data.survey[:2])
    n_rows = data.n_rows
    usual = UsualValues.of(data, columns)
    if before is not None:
        low, high = np.fmin(low, before.data_min_), np.fmax(high, before.data_max_)
        n_rows += before.n_samples_seen_
        usual = before._usual.with_later(usual, data.n_rows / n_rows)
    return {
        "n_samples_seen_": n_rows,
        "data_min_": low,
        "data_max_": high,
        "_usual": usual,
        "_trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _spawned(rng: np.random.RandomState) -> np.random.RandomState:
    """Return a generator of its own, so that how much is drawn from it does not matter to `rng`."""
    return np.random.RandomState(rng.randint(np.iinfo(np.int32).max))
