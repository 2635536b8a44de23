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
    """Outlier detector whose threshold is chosen on held-out rows, by an objective.

    The detector is fitted once a fold and scores the fold's other rows. The scores of all folds
    are pooled, the objective is computed at every threshold, and the best threshold is used with a
    detector that is fitted once more, on all rows. So the number of thresholds costs no training.
    Pooled counts, rather than means over folds, keep F-scores unbiased where outliers are few [1]_.

    Some detectors score rows otherwise the more they are trained on, such as
    `sklearn.svm.OneClassSVM`, which sums over the training rows. The scores of the folds are then
    brought to the scale of the detector that is fitted once more, by the training rows that both
    have seen. Where that cannot be done, a warning says so.

    By default no labels are needed, and `y` is ignored.

    Parameters
    ----------
    detector : outlier detector
        Any with `fit` and `score_samples`, see `FixedThresholdDetector`. With
        `sklearn.frozen.FrozenEstimator` it is never fitted.

    scoring : str, objective or scorer, default="auto"
        What the threshold is chosen for.

        - Without labels: "auto" or `AutoThreshold` (the bulk of the scores, and a share of clean
          rows beyond), "extreme_value_tail" or `ExtremeValueTail` (a fitted tail, for alarm rates
          well below 1 %), `AlarmBudget` (a number of alarms).
        - With labels: "f1", "f2" or `FBeta`, `AlarmCost`, `RecallAtPrecision`, `PrecisionAtK`, the
          name of a scikit-learn scorer of decisions such as "balanced_accuracy", or a scorer by
          `make_outlier_scorer` with ``response_method="predict"``. Rows without a label (None,
          NaN or pandas' NA) are trained on, but not counted.

        What a scorer or an objective asks for by `set_score_request` is passed to it from `fit`,
        such as ``AlarmCost(9, 1).set_score_request(sample_weight=True)``; by
        ``make_scorer(gain).set_score_request(amount=True)`` each row has a cost of its own.

    thresholds : int or array-like, default=1000
        Candidates. An int is the greatest number of them: with fewer held-out rows, one lies
        between every two neighbouring scores, which is exact; with more, their ranks are spaced
        geometrically, close to each other where few rows are flagged. An array-like gives them,
        in units of `score_samples`; a rule without labels then takes the nearest that flags no
        more rows.

    cv : int, float, cross-validation generator, iterable or "prefit", default=None
        - None: 5 folds, stratified by the labels where there are any;
        - int: that number of such folds;
        - float in (0, 1): one random split, this share of the rows held out;
        - a splitter, such as `OneClassKFold`, or an iterable of (train, test) indices; where labels
          are missing, scikit-learn's stratified ones refuse;
        - "prefit": the detector is fitted already, on other rows than those given to `fit`.

        Time points around `WindowedDetector` are held out in blocks instead, of each series its
        own, and a splitter that scatters them is refused. So is an `AlarmBudget` that is less than
        one of the windows which fit side by side into what is held out.

    refit : bool, default=True
        Whether to fit once more when the scores are there, on all rows but those that folds which
        test each row once leave out of all training, as `OneClassKFold` leaves out outliers. With
        False there must be one split, whose detector is kept. Ignored with ``cv="prefit"``.

    calibration : {"sigmoid", "isotonic"} or None, default=None
        Whether, and how, to fit probabilities to the labels of the pooled held-out scores, for
        `predict_proba`: by `sklearn.calibration.CalibratedClassifierCV`, which says when to use
        which. `p_values` needs no labels.

    pos_label : int, float, bool or str, default=None
        Label of the outliers. By default that of `scoring` if it is a scorer with one, else 1 where
        the labels are {0, 1} or booleans, and -1 where they are {-1, 1}.

    memory : str or joblib.Memory, default=None
        Cache of fitted detectors, see `FixedThresholdDetector`: with it, `GridSearchCV` over
        `scoring` or `thresholds` does not train again.

    n_jobs : int, default=None
        Number of fits in parallel.

    random_state : int, RandomState instance or None, default=None
        Of the split where `cv` is a float.

    store_cv_results : bool, default=True
        Whether to keep the curve in `cv_results_`, and the scores that it is of.

    Attributes
    ----------
    detector_ : outlier detector
        The fitted detector.

    best_threshold_, offset_ : float
        The chosen threshold: ``decision_function = score_samples - offset_``.

    best_score_ : float
        Value of the objective at the threshold; without labels, the share of the held-out rows
        that it flags.

    thresholds_ : ndarray of shape (n_thresholds,)
        The candidates, ascending.

    cv_results_ : dict of ndarray of shape (n_thresholds,)
        "thresholds", "scores" (as `best_score_`) and "alarm_rate" (share of the held-out rows that
        are flagged); with labels, "precision" and "recall" too.

    held_out_rows_, held_out_scores_ : ndarray of shape (n_held_out,)
        Indices of the rows that were held out and have a score, and these scores, at the scale of
        `detector_`, from which `bootstrap_threshold` tells how sure the choice is.

    calibration_scores_ : ndarray of shape (n_calibration,)
        Scores of the held-out rows that are not labelled as outliers, ascending, for `p_values`.

    calibrator_ : sklearn.calibration.CalibratedClassifierCV
        Turns scores into probabilities; there where `calibration` is set.

    n_features_in_ : int
        Number of features seen in `fit`, where the detector tells it.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where the detector tells them.

    See Also
    --------
    bootstrap_threshold : How sure the choice is.
    FixedThresholdDetector : A threshold set by hand.
    ConformalDetector : A guaranteed false-alarm rate, without labels.
    sklearn.model_selection.TunedThresholdClassifierCV : The same for classifiers.

    Notes
    -----
    `best_score_` is the greatest of many values on the same rows, and so too good: measure on
    other rows, nest it in `sklearn.model_selection.cross_validate`, or take the "scores" of
    `bootstrap_threshold`, which trains nothing.

    References
    ----------
    .. [1] G. Forman and M. Scholz, "Apples-to-Apples in Cross-Validation Studies: Pitfalls in
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

    Where each row has a cost of its own, a scorer asks for it:

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
        """Return the calibrated probabilities of inlier and outlier.

        They are those of rows with the share of outliers that the labelled training rows have.
        Only there where `calibration` is set. A row without a score has no probabilities: NaN.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to judge.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, 2)
            In the first column of an inlier, in the second of an outlier.
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
        """Return where the parameters of `fit` go, see scikit-learn's metadata routing.

        Returns
        -------
        routing : MetadataRouter
            The routing.
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
        """Return the detector, held-out rows, and their scores at the detector's scale."""
        if isinstance(self.cv, str):
            self._check_prefit()
            return self.detector, np.arange(_num_samples(X)), one_score_each(self.detector, X)
        blocks = time_blocks(self.detector, X)
        splits = self._splits(X, y, is_outlier, blocks, params)
        if not self.refit and len(splits) > 1:
            raise ValueError(
                f"refit=False keeps the detector of the one split there is, and cv makes "
                f"{len(splits)}; set refit=True or cv to a float."
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
    """Return training rows to compare a fold's detector on with the one that is fitted once more.

    A thousand are enough, but for time points, which are scored with their neighbours.
    """
    if blocks is not None or len(train) <= _N_COMMON:
        return train
    return train[np.linspace(0, len(train) - 1, _N_COMMON).astype(int)]


def _rows_to_refit(splits: list[tuple[np.ndarray, np.ndarray]], n_rows: int) -> np.ndarray:
    """Return all rows, but for those that folds leave out of training although they test all.

    So `OneClassKFold` leaves out the outliers.
    """
    tested = np.concatenate([test for _, test in splits])
    if len(splits) > 1 and np.array_equal(np.sort(tested), np.arange(n_rows)):
        return np.unique(np.concatenate([train for train, _ in splits]))
    return np.arange(n_rows)


def _nearest(threshold: float, thresholds: np.ndarray) -> float:
    """Return, of thresholds in ascending order, the nearest that flags no more rows."""
    n_as_strict = int(np.searchsorted(thresholds, threshold, side="right"))
    return float(thresholds[max(n_as_strict - 1, 0)])


def _as_rows(indices: Any) -> np.ndarray:
    indices = np.asarray(indices)
    return np.flatnonzero(indices) if indices.dtype == bool else indices


class _ScoreClassifier(ClassifierMixin, BaseEstimator):
    """A score, in the only column of X, as a fitted classifier that scikit-learn can calibrate."""

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
