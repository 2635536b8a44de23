"""Reports: what a model says about a table, as one HTML file that needs no network.

`write_report` gathers what there is to tell (`gather`), draws it (`pictures`) and writes it as a
page (`page`).
"""

from vae_anomaly.report.contents import Contents
from vae_anomaly.report.writing import write_report

__all__ = ["Contents", "write_report"]
