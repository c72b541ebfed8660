"""HTML pages from the templates beside this file: one file each, nothing loaded from elsewhere."""

import importlib.util

from quantflow.errors import UserError
from quantflow.wording import change, count, decibels, fractional_lengths, percent, points, significant, sqnr, width

FILTERS = {
    "change": change,
    "count": count,
    "decibels": decibels,
    "lengths": fractional_lengths,
    "percent": percent,
    "points": points,
    "significant": significant,
    "sqnr": sqnr,
    "width": width,
}


MISSING = "the report needs jinja2 and matplotlib: pip install 'quantflow[report]'"


def check_installed():
    """UserError where the extra `report` is missing: to be asked before hours of work for a page."""
    if importlib.util.find_spec("jinja2") is None or importlib.util.find_spec("matplotlib") is None:
        raise UserError(MISSING)


def render_page(template, **values):
    """The page as text. Raises UserError where the extra `report` is missing, KeyError where a value is."""
    try:
        import jinja2
    except ImportError:
        raise UserError(MISSING) from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("quantflow", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    try:
        return environment.get_template(template).render(**values)
    except jinja2.UndefinedError as error:
        raise KeyError(str(error)) from None
