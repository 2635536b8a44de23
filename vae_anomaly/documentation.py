"""Where the documentation is, and the links to it in the HTML view of an estimator."""

from __future__ import annotations

# The address that pyproject.toml gives.
DOCUMENTATION = "https://vae-anomaly.readthedocs.io/en/latest/"


class DocLinkMixin:
    """Mixin that lets scikit-learn's HTML view of an estimator link to its page in the site.

    The pages are named as docs/api.md makes them: after the name that users import.
    """

    _doc_link_module = "vae_anomaly"
    _doc_link_template = DOCUMENTATION + "generated/vae_anomaly.{estimator_name}.html"
