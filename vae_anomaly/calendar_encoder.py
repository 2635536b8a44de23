"""CalendarEncoder: numbers for dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from vae_anomaly.documentation import DocLinkMixin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PARTS = ("month", "day_of_week", "hour")


class CalendarEncoder(DocLinkMixin, TransformerMixin, BaseEstimator):
    """Turn dates into their month, day of the week and hour.

    A detector cannot learn from a date as such, but it can from what recurs. Missing dates become
    missing values.

    Attributes
    ----------
    n_features_in_ : int
        The number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the columns.

    See Also
    --------
    TableSchema : Gives the columns of a table the types that they had in training.

    Examples
    --------
    >>> import pandas as pd
    >>> from vae_anomaly import CalendarEncoder
    >>> X = pd.DataFrame({"time": pd.to_datetime(["2013-01-01T05:00", "2013-07-04T17:30"])})
    >>> CalendarEncoder().fit_transform(X)
       month__time  day_of_week__time  hour__time
    0            1                  1           5
    1            7                  3          17
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Learn the names of the columns.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            Columns of dates.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : CalendarEncoder
            The encoder.

        Raises
        ------
        TypeError
            If X is not a DataFrame of pandas.
        ValueError
            If a column does not hold dates. The message names it.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import CalendarEncoder
        >>> X = pd.DataFrame({"time": pd.to_datetime(["2013-01-01T05:00", None])})
        >>> CalendarEncoder().fit(X).feature_names_in_.tolist()
        ['time']
        """
        self._check(X, reset=True)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the parts of the dates.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            Columns of dates.

        Returns
        -------
        parts : DataFrame of shape (n_samples, 3 * n_features)
            The months (1 to 12), the days of the week (0 is Monday) and the hours of all columns.

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        TypeError
            If X is not a DataFrame of pandas.
        ValueError
            If X has other columns than in `fit`, or a column does not hold dates.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import CalendarEncoder
        >>> X = pd.DataFrame({"time": pd.to_datetime(["2013-01-01T05:00", None])})
        >>> CalendarEncoder().fit(X).transform(X)
           month__time  day_of_week__time  hour__time
        0          1.0                1.0         5.0
        1          NaN                NaN         NaN
        """
        check_is_fitted(self)
        self._check(X, reset=False)
        parts = [getattr(X[name].dt, part) for part in PARTS for name in X.columns]
        return pd.concat(parts, axis=1).set_axis(self.get_feature_names_out(), axis=1)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the columns of the result.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            The names of the columns. By default, they are those seen during `fit`.

        Returns
        -------
        names : ndarray of shape (3 * n_features,), dtype object
            The names, such as "month__time" for the months of the column "time".

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import CalendarEncoder
        >>> X = pd.DataFrame({"time": pd.to_datetime(["2013-01-01T05:00", None])})
        >>> CalendarEncoder().fit(X).get_feature_names_out().tolist()
        ['month__time', 'day_of_week__time', 'hour__time']
        """
        check_is_fitted(self)
        names = self.feature_names_in_ if input_features is None else np.asarray(input_features)
        return np.array([f"{part}__{name}" for part in PARTS for name in names], object)

    def _check(self, X: Any, *, reset: bool) -> None:
        if not isinstance(X, pd.DataFrame):
            raise TypeError(f"CalendarEncoder takes a DataFrame, got {type(X).__name__}.")
        for name, dtype in X.dtypes.items():
            if dtype.kind != "M":
                raise ValueError(
                    f"Column {name!r} holds {dtype} and not dates; convert it by "
                    "pandas.to_datetime."
                )
        validate_data(self, X, reset=reset, skip_check_array=True)
