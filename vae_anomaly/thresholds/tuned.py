"""TunedThresholdDetectorCV: a threshold chosen on held-out rows, by an objective."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.learned import Learned, share_below, threshold_in_words
from vae_anomaly.sklearn_private import (
    Interval,
    RealNotInt,
    StrOptions,
    _num_samples,
)
from vae_anomaly.thresholds.base import BaseThresholdDetector
from vae_anomaly.thresholds.conformal import PValuesMixin
from vae_anomaly.thresholds.fitting import fit_and_score, have_scores, one_score_each
from vae_anomaly.thresholds.metrics import outlier_indicator
from vae_anomaly.thresholds.objectives import (
    AlarmBudget,
    LabelFreeObjective,
    LabelledObjective,
    candidate_thresholds,
    checked_params,
    choose_threshold,
    get_objective,
    get_scorer_of,
    outlier_label,
    rows_of,
    threshold_curve,
)
from vae_anomaly.thresholds.scale import Fold, at_refitted_scale
from vae_anomaly.thresholds.splitting import TimeBlocks, strata, time_blocks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


_N_COMMON = 1000


class TunedThresholdDetectorCV(PValuesMixin, BaseThresholdDetector):
    """Outlier detector whose threshold is chosen on held-out rows by an objective.

    The detector is fitted once per fold and scores the held-out rows of the fold. The scores of all
    folds are pooled, the objective is computed at every threshold, and the best threshold is used
    with a detector that is refitted on all rows. More thresholds therefore need no more training.
    Pooling the counts, instead of averaging over folds, keeps F-scores unbiased if there are few
    outliers [1]_.

    The scores of some detectors depend on the number of training rows, such as those of
    `sklearn.svm.OneClassSVM`, which sums over them. The scores of the folds are then brought to the
    scale of the refitted detector, by means of the training rows that both have seen. If that is
    not possible, a warning is given.

    By default, no labels are needed and `y` is ignored.

    Parameters
    ----------
    detector : outlier detector
        Any detector with `fit` and `score_samples`, see `FixedThresholdDetector`. If it is wrapped
        in `sklearn.frozen.FrozenEstimator`, it is never refitted.

    scoring : str, objective or scorer, default="auto"
        The objective that the threshold is chosen for.

        - Without labels: "auto" or `AutoThreshold` (flags 1 % of clean rows, estimated from the
          bulk of the scores), "extreme_value_tail" or `ExtremeValueTail` (a fitted tail, for alarm
          rates well below 1 %) or `AlarmBudget` (a number of alarms).
        - With labels: "f1", "f2" or `FBeta`, `AlarmCost`, `RecallAtPrecision`, `PrecisionAtK`, the
          name of a scikit-learn scorer of decisions such as "balanced_accuracy", or a scorer made
          by `make_outlier_scorer` with ``response_method="predict"``. Rows without a label (None,
          NaN or pandas' NA) are trained on, but not counted.

        Metadata that a scorer or an objective requests by `set_score_request` are passed to it from
        `fit`, as with ``AlarmCost(9, 1).set_score_request(sample_weight=True)``. With
        ``make_scorer(gain).set_score_request(amount=True)``, each row can have its own cost.

    thresholds : int or array-like, default=1000
        The candidate thresholds. An int is their maximum number: if there are fewer held-out rows,
        one candidate lies between every two neighbouring scores, which is exact. Otherwise, the
        ranks of the candidates are spaced geometrically, so that they are densest where few rows
        are flagged. An array-like contains the candidates themselves, in units of `score_samples`;
        a rule without labels then uses the nearest one that does not flag more rows.

    cv : int, float, cross-validation generator, iterable, "prefit" or None, default=None
        Determines the splitting strategy. Possible inputs are:

        - None, to use 5 folds, stratified by the labels if these are used;
        - int, to specify the number of such folds;
        - float in (0, 1), the fraction of the rows to hold out in a single random split;
        - a splitter, such as `OneClassKFold`, or an iterable of (train, test) indices. The
          stratified splitters of scikit-learn raise an error if labels are missing;
        - "prefit", if the detector has been fitted already, on other rows than those given to
          `fit`.

        With a `WindowedDetector`, blocks of each time series are held out instead, and a splitter
        that scatters the time points is refused. So is an `AlarmBudget` that amounts to less than
        one of the non-overlapping windows that fit into the held-out time points.

    refit : bool, default=True
        Whether to refit the detector on all rows once the scores have been computed. If each row is
        tested exactly once, rows that no fold trains on are left out, such as the outliers with
        `OneClassKFold`. If False, there must be a single split, and its detector is kept. This
        parameter is ignored if ``cv="prefit"``.

    calibration : {"sigmoid", "isotonic"} or None, default=None
        The method by which the pooled held-out scores are calibrated against the labels, for
        `predict_proba`. See `sklearn.calibration.CalibratedClassifierCV` for when to use which. If
        None, no probabilities are computed; `p_values` needs no labels.

    pos_label : int, float, bool, str or None, default=None
        The label of the outliers. By default, it is that of `scoring` if this is a scorer that has
        one. Otherwise, it is 1 if the labels are {0, 1} or booleans, and -1 if they are {-1, 1}.

    memory : str, joblib.Memory or None, default=None
        The cache of fitted detectors, see `FixedThresholdDetector`. With a cache, `GridSearchCV`
        over `scoring` or `thresholds` does not train the detector again.

    n_jobs : int or None, default=None
        The number of fits to run in parallel. None means 1 unless in a `joblib.parallel_backend`
        context. -1 means using all processors.

    random_state : int, RandomState instance or None, default=None
        Controls the random split if `cv` is a float. Pass an int for reproducible output across
        multiple function calls.

    store_cv_results : bool, default=True
        Whether to store the curve in `cv_results_`, as well as the scores it was computed from.

    Attributes
    ----------
    detector_ : outlier detector
        The fitted detector.

    best_threshold_, offset_ : float
        The chosen threshold: ``decision_function = score_samples - offset_``.

    best_score_ : float
        The value of the objective at the threshold or, without labels, the fraction of the held-out
        rows that it flags.

    thresholds_ : ndarray of shape (n_thresholds,)
        The candidate thresholds, in ascending order.

    cv_results_ : dict of ndarray of shape (n_thresholds,)
        The "thresholds", the "scores" (see `best_score_`), the "alarm_rate" (the fraction of the
        held-out rows that are flagged) and, with labels, the "precision" and "recall".

    held_out_rows_, held_out_scores_ : ndarray of shape (n_held_out,)
        The indices of the held-out rows that have a score, and these scores at the scale of
        `detector_`. Pass them to `bootstrap_threshold` to estimate how certain the choice is.

    calibration_scores_ : ndarray of shape (n_calibration,)
        The scores of the held-out rows that are not labelled as outliers, in ascending order, which
        `p_values` uses.

    calibrator_ : sklearn.calibration.CalibratedClassifierCV
        The classifier that turns scores into probabilities. It exists only if `calibration` is set.

    n_features_in_ : int
        The number of features seen during `fit`, if the detector exposes it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the features seen during `fit`, if the detector exposes them.

    See Also
    --------
    bootstrap_threshold : Estimates how certain the choice is.
    FixedThresholdDetector : Uses a threshold set by hand.
    ConformalDetector : Guarantees a false-alarm rate without labels.
    sklearn.model_selection.TunedThresholdClassifierCV : The same for classifiers.

    Notes
    -----
    `best_score_` is the largest of many values on the same rows and is therefore optimistic.
    Evaluate the detector on other rows, nest it in `sklearn.model_selection.cross_validate`, or use
    the "scores" of `bootstrap_threshold`, which does not train anything.

    References
    ----------
    .. [1] Forman, G. and Scholz, M., "Apples-to-Apples in Cross-Validation Studies: Pitfalls in
       Classifier Performance Measurement", ACM SIGKDD Explorations 12(1), 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import AlarmCost, TunedThresholdDetectorCV
    >>> rng = np.random.RandomState(0)
    >>> X = np.concatenate([rng.randn(190, 2), 4 + rng.randn(10, 2)])
    >>> y = np.repeat([0, 1], [190, 10])
    >>> tuned = TunedThresholdDetectorCV(
    ...     IsolationForest(random_state=0), scoring=AlarmCost(missed=50, false_alarm=1)
    ... ).fit(X, y)
    >>> tuned.predict([[0.0, 0.0], [4.0, 4.0]])
    array([ 1, -1])

    If each row has its own cost, a scorer can request it:

    >>> from sklearn import config_context
    >>> from sklearn.metrics import make_scorer
    >>> def saved(y_true, y_pred, amount):
    ...     return float(((amount * y_true - 5) * y_pred).sum())
    >>> amount = rng.uniform(1, 100, size=200)
    >>> with config_context(enable_metadata_routing=True):
    ...     scorer = make_scorer(saved).set_score_request(amount=True)
    ...     tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring=scorer)
    ...     tuned = tuned.fit(X, y, amount=amount)
    >>> tuned.predict([[0.0, 0.0], [4.0, 4.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseThresholdDetector._parameter_constraints,
        "scoring": [str, callable, LabelFreeObjective],
        "thresholds": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "cv": [
            "cv_object",
            StrOptions({"prefit"}),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "refit": ["boolean"],
        "calibration": [StrOptions({"sigmoid", "isotonic"}), None],
        "pos_label": [Real, str, "boolean", None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        detector: Any,
        *,
        scoring: Any = "auto",
        thresholds: int | ArrayLike = 1000,
        cv: Any = None,
        refit: bool = True,
        calibration: str | None = None,
        pos_label: Any = None,
        memory: Any = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        store_cv_results: bool = True,
    ) -> None:
        self.detector = detector
        self.scoring = scoring
        self.thresholds = thresholds
        self.cv = cv
        self.refit = refit
        self.calibration = calibration
        self.pos_label = pos_label
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

    def _fit(self, X: Any, y: Any, params: Any) -> dict[str, Any]:
        objective = get_objective(self.scoring)
        self._check_thresholds()
        is_outlier = None
        if isinstance(objective, LabelledObjective) or self.calibration is not None:
            is_outlier = self._check_labels(y)
        score_params = checked_params(params.scorer.score, X)
        detector, rows, scores = self._held_out_scores(X, y, is_outlier, params)
        has_score = have_scores(scores)
        rows, scores = rows[has_score], scores[has_score]
        score_params = rows_of(score_params, rows, _num_samples(X))
        if isinstance(self.thresholds, Integral):
            thresholds = candidate_thresholds(scores, int(self.thresholds))
        else:
            thresholds = np.sort(np.asarray(self.thresholds, dtype=float))
        truth = None if is_outlier is None else is_outlier[rows]
        if truth is not None and not {0, 1} <= set(truth):
            raise ValueError(
                "The rows that cv holds out must have labels of both classes; of them "
                f"{np.sum(truth == 0)} are inliers and {np.sum(truth == 1)} outliers."
            )
        curve = threshold_curve(objective, thresholds, scores, truth, score_params)
        best = choose_threshold(objective, curve, scores, score_params)
        if isinstance(objective, LabelFreeObjective) and not isinstance(self.thresholds, Integral):
            best = _nearest(best, thresholds)
        at_best = threshold_curve(objective, np.array([best]), scores, truth, score_params)
        fitted = {
            "detector_": detector,
            "thresholds_": thresholds,
            "best_threshold_": best,
            "best_score_": float(at_best["scores"][0]),
            "offset_": best,
            "calibration_scores_": np.sort(scores if truth is None else scores[truth != 1]),
        }
        if self.calibration is not None:
            assert truth is not None
            fitted["calibrator_"] = _calibrate(scores, truth, self.calibration)
        if self.store_cv_results:
            fitted |= {"cv_results_": curve, "held_out_rows_": rows, "held_out_scores_": scores}
        return fitted

    @available_if(lambda self: self.calibration is not None or hasattr(self, "calibrator_"))
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the calibrated probabilities of being an inlier and an outlier.

        They hold for the same fraction of outliers as among the labelled training rows. This method
        is only available if `calibration` is set. For a row without a score, they are NaN.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, 2)
            The first column is the probability of an inlier, the second that of an outlier.

        Raises
        ------
        NotFittedError
            If the detector is not fitted, or was fitted with ``calibration=None``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import TunedThresholdDetectorCV
        >>> rng = np.random.RandomState(0)
        >>> X = np.concatenate([rng.randn(180, 2), 4 + rng.randn(20, 2)])
        >>> y = np.repeat([0, 1], [180, 20])
        >>> tuned = TunedThresholdDetectorCV(
        ...     IsolationForest(n_estimators=20, random_state=0), calibration="sigmoid", cv=2
        ... ).fit(X, y)
        >>> inlier, outlier = tuned.predict_proba([[0.0, 0.0], [4.0, 4.0]])
        >>> bool(outlier[1] > inlier[1])
        True
        """
        check_is_fitted(self)
        if not hasattr(self, "calibrator_"):
            raise NotFittedError(
                f"This {type(self).__name__} was fitted with calibration=None; call fit again "
                "before using predict_proba."
            )
        scores = self.score_samples(X)
        probabilities = np.full((len(scores), 2), np.nan)
        has_score = ~np.isnan(scores)
        if has_score.any():
            rows = scores[has_score, np.newaxis]
            probabilities[has_score] = self.calibrator_.predict_proba(rows)
        return probabilities

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how the parameters of `fit` are passed on.

        See scikit-learn's user guide on metadata routing.

        Returns
        -------
        routing : MetadataRouter
            The routing information.
        """
        router = super().get_metadata_routing()
        if not isinstance(self.cv, str):
            router.add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        return router.add(
            scorer=get_scorer_of(self.scoring),
            method_mapping=MethodMapping().add(caller="fit", callee="score"),
        )

    def _learned(self) -> Learned:
        facts = {
            "threshold": threshold_in_words(self.offset_),
            "objective": f"{self.scoring}: {self.best_score_:.4g} on the held-out rows",
        }
        scores, others = getattr(self, "held_out_scores_", np.array([])), self.calibration_scores_
        if len(scores):
            facts["alarms"] = share_below(scores, self.offset_, "held-out rows")
        if len(others) != len(scores):
            what = "held-out rows not labelled as outliers"
            facts["false alarms"] = share_below(others, self.offset_, what)
        return Learned(f"threshold {self.offset_:.4g}", facts)

    def _check_labels(self, y: Any) -> np.ndarray:
        if y is None:
            raise ValueError(
                f"scoring={self.scoring!r} with calibration={self.calibration!r} needs labels: "
                "pass y to fit. Without labels, set calibration=None and scoring='auto', "
                "'extreme_value_tail' or AlarmBudget(...)."
            )
        return outlier_indicator(y, outlier_label(self.scoring, self.pos_label))

    def _held_out_scores(
        self, X: Any, y: Any, is_outlier: np.ndarray | None, params: Any
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return the detector, the held-out rows, and their scores at the detector's scale."""
        if isinstance(self.cv, str):
            self._check_prefit()
            return self.detector, np.arange(_num_samples(X)), one_score_each(self.detector, X)
        blocks = time_blocks(self.detector, X)
        splits = self._splits(X, y, is_outlier, blocks, params)
        if not self.refit and len(splits) > 1:
            raise ValueError(
                f"refit=False keeps the detector of a single split, but cv makes "
                f"{len(splits)} splits; set refit=True or cv to a float."
            )
        fit_params = params.detector.fit
        is_typical = np.ones(_num_samples(X), bool) if is_outlier is None else is_outlier != 1
        common = [_common_rows(train[is_typical[train]], blocks) for train, _ in splits]
        tasks = [(train, [test, rows]) for (train, test), rows in zip(splits, common, strict=True)]
        if self.refit:
            tasks.append((_rows_to_refit(splits, _num_samples(X)), common))
        results = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_and_score)(
                self.detector, X, y, train, scored, fit_params, self.memory, blocks
            )
            for train, scored in tasks
        )
        rows = np.concatenate([test for _, test in splits])
        detector, scores = results[-1]
        if not self.refit:
            return detector, rows, scores[0]
        folds = [
            Fold(held_out, is_typical[test], trained_on, refitted)
            for (_, (held_out, trained_on)), (_, test), refitted in zip(
                results[:-1], splits, scores, strict=True
            )
        ]
        return detector, rows, np.concatenate(at_refitted_scale(folds))

    def _splits(
        self,
        X: Any,
        y: Any,
        is_outlier: np.ndarray | None,
        blocks: TimeBlocks | None,
        params: Any,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the pairs of training and test rows."""
        if isinstance(self.cv, Integral | None):
            n_splits = 5 if self.cv is None else int(self.cv)
            cv = (KFold if is_outlier is None else StratifiedKFold)(n_splits)
            if blocks is not None:
                splits = blocks.folds(n_splits)
            else:
                classes = None if is_outlier is None else strata(is_outlier, n_splits)
                splits = cv.split(np.zeros(_num_samples(X)), classes)
        elif isinstance(self.cv, Real):
            if blocks is not None:
                splits = [blocks.split(float(self.cv))]
            else:
                splitter = ShuffleSplit if is_outlier is None else StratifiedShuffleSplit
                cv = splitter(1, test_size=self.cv, random_state=self.random_state)
                classes = None if is_outlier is None else strata(is_outlier, 2)
                splits = cv.split(np.zeros(_num_samples(X)), classes)
        else:
            splits = check_cv(self.cv).split(X, y, **params.splitter.split)
        splits = [(_as_rows(train), _as_rows(test)) for train, test in splits]
        if blocks is not None:
            splits = [(np.sort(train), np.sort(test)) for train, test in splits]
            for rows in (rows for split in splits for rows in split):
                blocks.check(rows, self.cv)
            if isinstance(self.scoring, AlarmBudget):
                n_held_out = sum(len(test) for _, test in splits)
                blocks.check_level(n_held_out, self.scoring.alarms / self.scoring.per)
        return splits

    def _check_thresholds(self) -> None:
        if not isinstance(self.thresholds, Integral):
            thresholds = np.asarray(self.thresholds, dtype=float)
            if thresholds.ndim != 1 or not thresholds.size or np.isnan(thresholds).any():
                raise ValueError(
                    f"thresholds must be an int or a list of numbers, got {self.thresholds!r}."
                )


def _common_rows(train: np.ndarray, blocks: TimeBlocks | None) -> np.ndarray:
    """Return the training rows on which to compare a fold's detector with the refitted one.

    A thousand are enough, except for time points, which are scored with their neighbours.
    """
    if blocks is not None or len(train) <= _N_COMMON:
        return train
    return train[np.linspace(0, len(train) - 1, _N_COMMON).astype(int)]


def _rows_to_refit(splits: list[tuple[np.ndarray, np.ndarray]], n_rows: int) -> np.ndarray:
    """Return all rows, except those that no fold trains on if the folds test each row once.

    With `OneClassKFold`, these are the outliers.
    """
    tested = np.concatenate([test for _, test in splits])
    if len(splits) > 1 and np.array_equal(np.sort(tested), np.arange(n_rows)):
        return np.unique(np.concatenate([train for train, _ in splits]))
    return np.arange(n_rows)


def _nearest(threshold: float, thresholds: np.ndarray) -> float:
    """Return the nearest of the ascending thresholds that does not flag more rows."""
    n_as_strict = int(np.searchsorted(thresholds, threshold, side="right"))
    return float(thresholds[max(n_as_strict - 1, 0)])


def _as_rows(indices: Any) -> np.ndarray:
    indices = np.asarray(indices)
    return np.flatnonzero(indices) if indices.dtype == bool else indices


class _ScoreClassifier(ClassifierMixin, BaseEstimator):
    """A fitted classifier for scikit-learn to calibrate; the only column of X is the score."""

    classes_ = np.array([0, 1])

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return (X[:, 0] < 0).astype(int)

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return -X[:, 0]

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _calibrate(scores: np.ndarray, is_outlier: np.ndarray, method: str) -> Any:
    from sklearn.calibration import CalibratedClassifierCV

    known = ~np.isnan(is_outlier)
    X, y = scores[known, np.newaxis], is_outlier[known].astype(int)
    all_rows = np.arange(len(y))
    return CalibratedClassifierCV(
        FrozenEstimator(_ScoreClassifier()), method=method, cv=[(all_rows, all_rows)]
    ).fit(X, y)
