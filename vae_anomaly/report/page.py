"""The page of a report: HTML that holds all that it shows, and asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from vae_anomaly.batch.profile import LARGE, SMALL
from vae_anomaly.report.text import MISSING, cut_off, fixed, number, percent, visible
from vae_anomaly.wording import counted

if TYPE_CHECKING:
    from jinja2 import Environment

    from vae_anomaly.report.contents import Contents
    from vae_anomaly.report.pictures import Picture

_MOST_COLUMNS = 300  # in a table of columns


def render(contents: Contents, pictures: dict[str, Picture]) -> str:
    """Return the page of a report."""
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=contents,
            pictures=pictures,
            most_columns=_MOST_COLUMNS,
            small=SMALL,
            large=LARGE,
            style=_file("page.css"),
            script=script,
            policy=(
                "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
            ),
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vae_anomaly.report", "."),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cut_off": cut_off,
        "fixed": fixed,
        "is_infinite": math.isinf,
        "number": number,
        "percent": percent,
    }
    environment.globals["counted"] = counted
    return environment


def _shown(value: Any) -> Any:
    """Return what stands for a value in the page, wherever it stands there."""
    if value is None:
        return MISSING
    if type(value) is str:  # texts that are HTML already are of a class of their own
        return visible(value)
    return value


def _file(name: str) -> str:
    return files("vae_anomaly.report").joinpath(name).read_text(encoding="utf-8")
