"""Decisions with a guaranteed false-alarm rate: split conformal p-values."""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.learned import Learned, in_percent, threshold_in_words
from vae_anomaly.sklearn_private import Interval, RealNotInt, StrOptions, _num_samples
from vae_anomaly.thresholds.base import BaseThresholdDetector
from vae_anomaly.thresholds.fitting import fit_and_score, have_scores, one_score_each
from vae_anomaly.thresholds.splitting import time_blocks
from vae_anomaly.wording import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class PValuesMixin:
    """Mixin for detectors that store the scores of clean rows that they were not trained on."""

    calibration_scores_: np.ndarray

    if TYPE_CHECKING:

        def score_samples(self, X: ArrayLike) -> np.ndarray:
            """Return the detector's scores."""

    def p_values(self, X: ArrayLike) -> np.ndarray:
        """Return the p-value of each row: how rarely a clean row has a score as low.

        It is the rank of the row's score among `calibration_scores_` [1]_. ``1 - p_values(X)``
        therefore increases with the abnormality from 0 to 1 and means the same for every detector:
        the fraction of clean rows that are less abnormal. It is not the probability of an outlier,
        as half of all clean rows lie above 0.5. A row without a score has the p-value 1.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            The p-values, from 1 / (n_calibration + 1) to 1. The smaller, the more abnormal.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.

        References
        ----------
        .. [1] Bates, S. et al., "Testing for Outliers with Conformal p-values", Annals of
           Statistics 51(1), 2023.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import ConformalDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> detector = ConformalDetector(IsolationForest(random_state=0), random_state=0).fit(X)
        >>> detector.p_values([[0.0, 0.0], [5.0, 5.0]]) < 0.05
        array([False,  True])
        """
        return self.p_values_of(self.score_samples(X))

    def p_values_of(self, scores: ArrayLike) -> np.ndarray:
        """Return the p-values of rows that have been scored already.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            What `score_samples` has returned.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            The p-values, as `p_values` returns them.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import ConformalDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> detector = ConformalDetector(IsolationForest(random_state=0), random_state=0).fit(X)
        >>> scores = detector.score_samples(X)
        >>> bool((detector.p_values_of(scores) == detector.p_values(X)).all())
        True
        """
        n_as_abnormal = np.searchsorted(self.calibration_scores_, scores, side="right")
        return (1 + n_as_abnormal) / (1 + len(self.calibration_scores_))


class ConformalDetector(PValuesMixin, BaseThresholdDetector):
    """Outlier detector with a guaranteed false-alarm rate that needs no labels.

    `fit` holds out calibration rows, which the detector is not trained on. The p-value of a new
    row x is the rank of its score s(x) among their scores s_1, ..., s_n [1]_::

        p(x) = (1 + #{i : s_i <= s(x)}) / (n + 1)

    If x is a clean row like the calibration rows (exchangeable with them), then
    P(p(x) <= alpha) <= alpha for any detector, any distribution and any n. The probability is over
    draws of the calibration rows as well as of x: for one given set of calibration rows, the
    false-alarm rate varies around its mean, which is at most alpha, with a standard deviation of
    about sqrt(alpha (1 - alpha) / n).

    The rows given to `fit` must be clean. Outliers among the calibration rows make the p-values
    larger, so that the detector misses more outliers.

    Parameters
    ----------
    detector : outlier detector
        Any detector with `fit` and `score_samples`, see `FixedThresholdDetector`.

    alpha : float in (0, 1), default=0.05
        The maximum false-alarm rate of `predict`.

    cv : float or "prefit", default=0.3
        The fraction of the rows to hold out for calibration. With "prefit", the detector must have
        been fitted already, on other rows, and all rows given to `fit` are used for calibration.
        There should be many more than 1 / alpha of them: with fewer, nothing is ever flagged. With
        a `WindowedDetector`, blocks of each time series are held out, and fewer than 1 / alpha
        windows are refused. As neighbouring time points are not exchangeable, the rate is not
        guaranteed there: it holds as long as the series go on as before.

    memory : str, joblib.Memory or None, default=None
        The cache of fitted detectors, see `FixedThresholdDetector`.

    random_state : int, RandomState instance or None, default=None
        Controls the random selection of the calibration rows. Pass an int for reproducible output
        across multiple function calls.

    Attributes
    ----------
    detector_ : outlier detector
        The fitted detector.

    calibration_scores_ : ndarray of shape (n_calibration,)
        The scores of the calibration rows, in ascending order.

    offset_ : float
        The threshold: ``decision_function = score_samples - offset_``. The p-values of scores below
        it are at most `alpha`.

    n_features_in_ : int
        The number of features seen during `fit`, if the detector exposes it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the features seen during `fit`, if the detector exposes them.

    See Also
    --------
    TunedThresholdDetectorCV : Chooses the threshold by labels, costs or a budget.

    References
    ----------
    .. [1] Bates, S. et al., "Testing for Outliers with Conformal p-values", Annals of Statistics
       51(1), 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import ConformalDetector
    >>> X = np.random.RandomState(0).randn(500, 2)
    >>> detector = ConformalDetector(IsolationForest(random_state=0), random_state=0).fit(X)
    >>> detector.p_values([[0.0, 0.0], [5.0, 5.0]]) <= 0.01
    array([False,  True])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseThresholdDetector._parameter_constraints,
        "alpha": [Interval(RealNotInt, 0.0, 1.0, closed="neither")],
        "cv": [Interval(RealNotInt, 0.0, 1.0, closed="neither"), StrOptions({"prefit"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        detector: Any,
        *,
        alpha: float = 0.05,
        cv: float | str = 0.3,
        memory: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.detector = detector
        self.alpha = alpha
        self.cv = cv
        self.memory = memory
        self.random_state = random_state

    def predict_batch(self, X: ArrayLike, *, fdr_level: float = 0.1) -> np.ndarray:
        """Predict inliers and outliers in a batch, with a bound on the false discovery rate.

        This applies the Benjamini-Hochberg procedure [2]_ to the p-values. If the clean rows of the
        batch are exchangeable with the calibration rows, the expected fraction of clean rows among
        the rows that are called outliers is at most `fdr_level`. The decision on a row depends
        on the other rows of the batch, whereas `predict` decides on each row separately.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to judge together.
        fdr_level : float in (0, 1), default=0.1
            The maximum false discovery rate.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            +1 for inliers and -1 for outliers.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If `fdr_level` does not lie in (0, 1).

        References
        ----------
        .. [1] Bates, S. et al., "Testing for Outliers with Conformal p-values", Annals of
           Statistics 51(1), 2023.
        .. [2] Benjamini, Y. and Hochberg, Y., "Controlling the False Discovery Rate", Journal of
           the Royal Statistical Society B 57(1), 1995.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import ConformalDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> detector = ConformalDetector(IsolationForest(random_state=0), random_state=0).fit(X)
        >>> detector.predict_batch([[0.0, 0.0], [5.0, 5.0]])
        array([ 1, -1])
        """
        check_is_fitted(self)
        if not isinstance(fdr_level, Real) or not 0 < fdr_level < 1:
            raise ValueError(f"fdr_level must lie in (0, 1), got {fdr_level!r}.")
        return np.where(false_discovery_control(self.p_values(X)) <= fdr_level, -1, 1)

    def _learned(self) -> Learned:
        scores, offset = self.calibration_scores_, self.offset_
        rank = 1 + int(np.searchsorted(scores, offset)) if math.isfinite(offset) else 0
        facts = {
            "threshold": threshold_in_words(offset),
            "alarms": f"at most {in_percent(rank / (len(scores) + 1))} of new clean rows, on "
            "average over draws of the calibration rows",
            "calibration": f"by the scores of {counted(len(scores), 'held-out row')}",
        }
        return Learned(f"threshold {offset:.4g}", facts)

    def _fit(self, X: Any, y: Any, params: Any) -> dict[str, Any]:
        if isinstance(self.cv, str):
            self._check_prefit()
            detector, scores = self.detector, one_score_each(self.detector, X)
        else:
            blocks = time_blocks(self.detector, X)
            if blocks is None:
                train, test = train_test_split(
                    np.arange(_num_samples(X)), test_size=self.cv, random_state=self.random_state
                )
            else:
                train, test = blocks.split(float(self.cv))
                blocks.check_level(len(test), self.alpha)
            detector, (scores,) = fit_and_score(
                self.detector, X, y, train, [test], params.detector.fit, self.memory, blocks
            )
        scores = np.sort(scores[have_scores(scores)])
        # p(x) <= alpha if fewer than `rank` calibration scores are at most that of x.
        n_calibration = len(scores)
        rank = math.floor(self.alpha * (n_calibration + 1) * (1 + 1e-12))
        if rank == 0:
            warnings.warn(
                f"With {n_calibration} calibration rows no p-value is smaller than "
                f"{1 / (n_calibration + 1):.2g}, so predict never flags a row at alpha="
                f"{self.alpha}. Pass more rows to fit, or raise alpha or cv.",
                stacklevel=4,  # the line that calls fit
            )
        offset = float(scores[rank - 1]) if rank else -math.inf
        return {"detector_": detector, "calibration_scores_": scores, "offset_": offset}
