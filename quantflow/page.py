"""HTML pages from the templates beside this file: one file each, nothing loaded from elsewhere."""

from quantflow.errors import UserError
from quantflow.wording import change, count, decibels, fractional_lengths, percent, points, sqnr, width

FILTERS = {
    "change": change,
    "count": count,
    "decibels": decibels,
    "lengths": fractional_lengths,
    "percent": percent,
    "points": points,
    "sqnr": sqnr,
    "width": width,
}


def render_page(template, **values):
    """The page as text. Raises UserError where the extra `report` is missing."""
    try:
        import jinja2
    except ImportError:
        raise UserError("the report needs jinja2 and matplotlib: pip install 'quantflow[report]'") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("quantflow", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment.get_template(template).render(**values)
