"""Labels, and scorers for model selection with labels or from the scores alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import column_or_1d

from vae_anomaly.sklearn_private import (
    Interval,
    _BaseScorer,
    _check_method_params,
    validate_params,
)

_RANKINGS = {"average_precision": average_precision_score, "roc_auc": roc_auc_score}
_DECISIONS = {
    "balanced_accuracy": balanced_accuracy_score,
    "f1": f1_score,
    "matthews_corrcoef": matthews_corrcoef,
    "precision": precision_score,
    "recall": recall_score,
}

_RESPONSES: dict[str, Callable[[Any, Any], np.ndarray]] = {
    "score_samples": lambda estimator, X: -estimator.score_samples(X),
    "predict": lambda estimator, X: (estimator.predict(X) == -1).astype(int),
    "predict_proba": lambda estimator, X: estimator.predict_proba(X)[:, 1],
}


def outlier_indicator(y: Any, pos_label: Any = None) -> np.ndarray:
    """Return 1 for rows labelled as outliers, 0 for inliers and NaN for rows without a label.

    Parameters
    ----------
    y : array-like of shape (n,)
        The labels, of two classes. None, NaN and pandas' NA mark rows without a label.
    pos_label : int, float, bool, str or None, default=None
        The label of the outliers; see `make_outlier_scorer` for the default.

    Returns
    -------
    is_outlier : ndarray of shape (n,)
        The indicator, as floats.

    Raises
    ------
    ValueError
        If there are not exactly two classes, or if it is unclear which of them is the outlier.
    """
    import pandas as pd

    y = column_or_1d(y)
    is_known = ~pd.isna(y)
    known = y[is_known]
    try:
        classes = np.unique(known).tolist()
    except TypeError:
        kinds = sorted({type(label).__name__ for label in known})
        raise ValueError(f"Labels must be of one type; y mixes {', '.join(kinds)}.") from None
    if len(classes) != 2:
        shown = f"{str(classes[:10])[:-1]}, ...]" if len(classes) > 10 else classes
        unlabelled = "" if is_known.all() else f", and {np.sum(~is_known)} rows without a label"
        raise ValueError(
            f"Labels must be of two classes, inlier and outlier; got {shown}{unlabelled}."
        )
    if pos_label is None:
        pos_label = {(0, 1): 1, (-1, 1): -1}.get(tuple(classes))
    if pos_label not in classes:
        raise ValueError(
            f"pos_label={pos_label!r} is not a label of y: say which of {classes} is the outlier."
        )
    is_outlier = np.full(len(y), np.nan)
    is_outlier[is_known] = known == pos_label
    return is_outlier


def check_scores(scores: Any) -> np.ndarray:
    """Return the scores as floats (n,), or raise a ValueError if they are not a list of numbers.

    Parameters
    ----------
    scores : array-like of shape (n,)
        The output of `score_samples`.
    """
    score = check_array(scores, ensure_2d=False, allow_nd=True, dtype=None, ensure_all_finite=False)
    if score.ndim != 1 or score.dtype.kind not in "biuf":
        raise ValueError(
            f"scores should be a 1d array of numbers, as score_samples returns; got an array of "
            f"shape {score.shape} and type {score.dtype} instead."
        )
    return score.astype(float)


class _OutlierScorer(_BaseScorer):
    """A callable (estimator, X, y) -> float, as scikit-learn takes it for `scoring`.

    Like scikit-learn's scorers, it requests metadata such as `sample_weight` by
    `set_score_request`.
    """

    def __init__(
        self,
        score_func: Callable[..., float],
        sign: int,
        kwargs: dict[str, Any],
        response_method: str,
        pos_label: Any,
    ) -> None:
        super().__init__(score_func, sign, kwargs, response_method)
        self.pos_label = pos_label

    def _score(self, method_caller: Any, estimator: Any, X: Any, y: Any, **params: Any) -> float:
        is_outlier = outlier_indicator(y, self.pos_label)
        response = _RESPONSES[self._response_method](estimator, X)
        check_consistent_length(is_outlier, response)
        # Rows without a score are left out, like those without a label.
        counted = np.flatnonzero(~np.isnan(is_outlier) & ~np.isnan(response))
        truth = is_outlier[counted].astype(int)
        kwargs = self._kwargs | _check_method_params(response, params, indices=counted)
        try:
            score = self._score_func(truth, response[counted], **kwargs)
        except ValueError as error:
            if "binary and continuous" in str(error):
                raise ValueError(
                    f"{error}. If {self._name()} judges decisions, make the scorer with "
                    'response_method="predict".'
                ) from None
            raise
        return self._sign * float(score)

    def _name(self) -> str:
        return getattr(self._score_func, "__name__", repr(self._score_func))

    def __repr__(self) -> str:
        return (
            f"make_outlier_scorer({self._name()}, response_method={self._response_method!r}, "
            f"pos_label={self.pos_label!r})"
        )


@validate_params(
    {
        "score_func": [callable],
        "response_method": [str],
        "greater_is_better": ["boolean"],
        "pos_label": [Real, str, "boolean", None],
    },
    prefer_skip_nested_validation=True,
)
def make_outlier_scorer(
    score_func: Callable[..., float],
    *,
    response_method: str = "score_samples",
    greater_is_better: bool = True,
    pos_label: Any = None,
    **kwargs: Any,
) -> _OutlierScorer:
    """Make a scorer that evaluates a detector by labels, for `scoring=` in scikit-learn.

    scikit-learn's own ``scoring="roc_auc"`` uses `decision_function`, which is high for inliers:
    with outliers labelled 1, it rewards the worst detector. This scorer uses the negated
    `score_samples`, which is high for outliers, and knows which label is that of the outliers.
    Rows without a label (None, NaN or pandas' NA) are left out, and so are rows without a score
    (NaN).

    If `sample_weight` or other metadata of the rows are given, they are passed to `score_func`;
    with scikit-learn's metadata routing, request them by ``set_score_request(sample_weight=True)``.

    Parameters
    ----------
    score_func : callable
        A metric that takes binary labels (1 for outliers) and the output of `response_method`, such
        as `sklearn.metrics.roc_auc_score` for scores or `sklearn.metrics.f1_score` for decisions.
    response_method : {"score_samples", "predict", "predict_proba"}, default="score_samples"
        The output of the detector that is evaluated: its negated scores; its decisions, 1 for
        outliers; or the probability of an outlier, the second column of `predict_proba`.
    greater_is_better : bool, default=True
        Whether `score_func` is high for good detectors. If False, the scorer flips its sign.
    pos_label : int, float, bool, str or None, default=None
        The label of the outliers. By default, it is 1 if the labels are {0, 1} or booleans, and -1
        if they are {-1, 1}, as in the output of `predict`.
    **kwargs : dict
        Additional parameters to be passed to `score_func`.

    Returns
    -------
    scorer : callable
        The scorer. It takes (estimator, X, y, sample_weight=None) and returns a float; higher is
        better. It raises a ValueError if `y` does not contain two classes.

    Raises
    ------
    ValueError
        If `response_method` is not valid.

    See Also
    --------
    get_outlier_scorer : Returns the usual scorers by name.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.metrics import roc_auc_score
    >>> from vae_anomaly import make_outlier_scorer
    >>> X, y = np.array([[0.0], [0.1], [0.2], [9.0]]), np.array([0, 0, 0, 1])
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> scorer = make_outlier_scorer(roc_auc_score)
    >>> scorer(forest, X, y)
    1.0

    It goes into a search as any scorer of scikit-learn does:

    >>> from sklearn.model_selection import GridSearchCV
    >>> X, y = np.tile(X, (5, 1)), np.tile(y, 5)
    >>> search = GridSearchCV(forest, {"max_samples": [2, 8]}, scoring=scorer, cv=2).fit(X, y)
    >>> float(search.best_score_)
    1.0
    """
    if response_method not in _RESPONSES:
        raise ValueError(
            f"response_method must be one of {sorted(_RESPONSES)}, got {response_method!r}."
        )
    sign = 1 if greater_is_better else -1
    return _OutlierScorer(score_func, sign, kwargs, response_method, pos_label)


@validate_params(
    {"name": [str], "pos_label": [Real, str, "boolean", None]},
    prefer_skip_nested_validation=True,
)
def get_outlier_scorer(name: str, *, pos_label: Any = None) -> Callable[..., float]:
    """Return a scorer for `scoring=` in scikit-learn by name.

    Parameters
    ----------
    name : str
        The name of the scorer.

        - "average_precision", "roc_auc": how well the scores rank labelled rows.
        - "balanced_accuracy", "f1", "matthews_corrcoef", "precision", "recall": how well `predict`
          divides labelled rows.
        - "excess_mass", "mass_volume": without labels, see `make_excess_mass_scorer` and
          `make_mass_volume_scorer`.
    pos_label : int, float, bool, str or None, default=None
        The label of the outliers, see `make_outlier_scorer`.

    Returns
    -------
    scorer : callable
        The scorer. It takes (estimator, X, y) and returns a float; higher is better.

    Raises
    ------
    ValueError
        If there is no scorer with this name.

    See Also
    --------
    make_outlier_scorer : Makes a scorer of any metric.
    sklearn.metrics.get_scorer : The same for classifiers and regressors.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.model_selection import GridSearchCV
    >>> from vae_anomaly import get_outlier_scorer
    >>> rng = np.random.RandomState(0)
    >>> X = np.concatenate([rng.randn(95, 2), rng.uniform(-8, 8, size=(5, 2))])
    >>> y = np.repeat(["normal", "fraud"], [95, 5])
    >>> search = GridSearchCV(
    ...     IsolationForest(n_estimators=20, random_state=0),
    ...     {"max_samples": [8, 32]},
    ...     scoring=get_outlier_scorer("average_precision", pos_label="fraud"),
    ...     cv=[(range(0, 100, 2), range(1, 100, 2))],
    ... )
    >>> bool(search.fit(X, y).best_score_ > 0.8)
    True
    """
    if name in _RANKINGS:
        return make_outlier_scorer(_RANKINGS[name], pos_label=pos_label)
    if name in _DECISIONS:
        return make_outlier_scorer(_DECISIONS[name], response_method="predict", pos_label=pos_label)
    if name == "excess_mass":
        return make_excess_mass_scorer()
    if name == "mass_volume":
        return make_mass_volume_scorer()
    names = sorted([*_RANKINGS, *_DECISIONS, "excess_mass", "mass_volume"])
    raise ValueError(f"No outlier scorer is called {name!r}; there are {', '.join(names)}.")


_VOLUME_CONSTRAINTS: dict[str, list[Any]] = {
    "n_generated": [Interval(Integral, 1, None, closed="left")],
    "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both")],
}


class _VolumeScorer:
    """A callable (estimator, X, y=None) -> float: how small the regions around the rows are."""

    def __init__(
        self,
        criterion: Callable[[np.ndarray, np.ndarray], float],
        n_generated: int,
        random_state: int,
    ) -> None:
        self._criterion = criterion
        self._n_generated, self._random_state = n_generated, random_state

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score the detector on the rows of X; labels are ignored."""
        rows = check_array(X)
        rng = check_random_state(self._random_state)
        uniform: Any = rng.uniform(
            rows.min(axis=0), rows.max(axis=0), size=(self._n_generated, rows.shape[1])
        )
        if hasattr(X, "iloc"):  # a pandas frame
            uniform = type(X)(uniform, columns=X.columns)
        scores = estimator.score_samples(X)
        scores = scores[~np.isnan(scores)]
        # For each level, from the most normal row down: the fraction of rows and of volume above.
        levels, counts = np.unique(-scores, return_counts=True)
        mass = np.cumsum(counts) / len(scores)
        inside = np.searchsorted(np.sort(-estimator.score_samples(uniform)), levels, side="right")
        if inside[np.searchsorted(mass, 0.9)] == 0:
            warnings.warn(
                f"None of {self._n_generated} uniform rows scores like 90 % of the rows of X. In "
                f"{rows.shape[1]} dimensions this criterion cannot compare detectors; choose "
                "fewer columns, or use labels.",
                stacklevel=2,
            )
        # A volume that contains no uniform row is not zero.
        return self._criterion(mass, np.maximum(inside, 1) / self._n_generated)

    def __repr__(self) -> str:
        return (
            f"make{self._criterion.__name__}_scorer(n_generated={self._n_generated}, "
            f"random_state={self._random_state})"
        )


@validate_params(_VOLUME_CONSTRAINTS, prefer_skip_nested_validation=True)
def make_excess_mass_scorer(
    *, n_generated: int = 10_000, random_state: int = 0
) -> Callable[..., float]:
    """Make a scorer that compares detectors without labels by their excess-mass curve.

    A good score has small level sets that contain most of the data. The excess mass at t is

        EM(t) = max_u [ P(s(X) >= u) - t Leb{x : s(x) >= u} ],

    where the volume Leb is a fraction of the bounding box of the rows, estimated on rows drawn
    uniformly from it. The criterion is the area under EM from 0 to the t where it falls below 0.9
    [1]_. It grows without bound for sharp scores, so compare it only on the same rows.

    Volumes cannot be estimated in many dimensions: beyond about eight, no uniform row comes close
    to the data. The scorer then raises a warning.

    Parameters
    ----------
    n_generated : int, default=10_000
        The number of uniform rows.
    random_state : int, default=0
        The seed of the uniform rows, so that all detectors are evaluated on the same ones.

    Returns
    -------
    scorer : callable
        The scorer. It takes (estimator, X, y=None), where X is numeric, and returns a float; higher
        is better.

    See Also
    --------
    make_mass_volume_scorer : Has a bounded range.
    make_outlier_scorer : Uses labels.

    References
    ----------
    .. [1] Goix, N., "How to Evaluate the Quality of Unsupervised Anomaly Detection Algorithms?",
       ICML Anomaly Detection Workshop 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import make_excess_mass_scorer
    >>> X = np.random.RandomState(0).randn(200, 2)
    >>> forest = IsolationForest(n_estimators=20, random_state=0).fit(X)
    >>> make_excess_mass_scorer(n_generated=1000)(forest, X) > 0
    True
    """
    return _VolumeScorer(_excess_mass, n_generated, random_state)


@validate_params(_VOLUME_CONSTRAINTS, prefer_skip_nested_validation=True)
def make_mass_volume_scorer(
    *, n_generated: int = 10_000, random_state: int = 0
) -> Callable[..., float]:
    """Make a scorer that compares detectors without labels by their mass-volume curve.

    The mass volume at alpha is the volume of the smallest level set that contains a fraction alpha
    of the rows. Here it is a fraction of the bounding box of the rows, estimated on rows drawn
    uniformly from it. The criterion is its negated mean over alpha from 0.9 to 0.999 [1]_.

    Volumes cannot be estimated in many dimensions, see `make_excess_mass_scorer`.

    Parameters
    ----------
    n_generated : int, default=10_000
        The number of uniform rows.
    random_state : int, default=0
        The seed of the uniform rows, so that all detectors are evaluated on the same ones.

    Returns
    -------
    scorer : callable
        The scorer. It takes (estimator, X, y=None), where X is numeric, and returns a float from -1
        to 0; higher is better.

    See Also
    --------
    make_excess_mass_scorer : Compares excess-mass curves instead.
    make_outlier_scorer : Uses labels.

    References
    ----------
    .. [1] Goix, N., "How to Evaluate the Quality of Unsupervised Anomaly Detection Algorithms?",
       ICML Anomaly Detection Workshop 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import make_mass_volume_scorer
    >>> X = np.random.RandomState(0).randn(200, 2)
    >>> forest = IsolationForest(n_estimators=20, random_state=0).fit(X)
    >>> -1 < make_mass_volume_scorer(n_generated=1000)(forest, X) < 0
    True
    """
    return _VolumeScorer(_mass_volume, n_generated, random_state)


def _excess_mass(mass: np.ndarray, volume: np.ndarray) -> float:
    t_max = np.max((mass - 0.9) / volume)
    t = np.linspace(0, t_max, 1000)
    excess = np.zeros_like(t)
    for share, size in zip(mass, volume, strict=True):
        np.maximum(excess, share - t * size, out=excess)
    return float(np.trapezoid(excess, t))


def _mass_volume(mass: np.ndarray, volume: np.ndarray) -> float:
    alpha = np.linspace(0.9, 0.999, 100)
    return -float(np.mean(volume[np.searchsorted(mass, alpha)]))
