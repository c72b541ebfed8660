"""What an interpreter or a notebook shows of an object: a title and a short table."""

import html


class Represented:
    """Gives a class `__repr__` (text) and `_repr_html_` (a table for notebooks), both from `_table`.

    A dataclass is declared with `repr=False`, or it would write a `__repr__` of its own.
    """

    def _table(self):
        """A title, the columns' names, and rows of texts; the first column is a name."""
        raise NotImplementedError

    def __repr__(self):
        title, columns, rows = self._table()
        lines = [columns, *rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        return "\n".join([title, *(_aligned(line, widths) for line in lines)])

    def _repr_html_(self):
        title, columns, rows = self._table()
        head, *body = (
            "".join(f"<{tag} style='text-align:{_side(index)}'>{html.escape(cell)}</{tag}>" for index, cell in cells)
            for tag, cells in (("th", enumerate(columns)), *(("td", enumerate(row)) for row in rows))
        )
        text = "".join(f"<tr>{cells}</tr>" for cells in body)
        return f"<div>{html.escape(title)}</div><table><thead><tr>{head}</tr></thead><tbody>{text}</tbody></table>"


def _aligned(cells, widths):
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def _side(index):
    return "right" if index else "left"
