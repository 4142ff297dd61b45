"""CSV files as people's spreadsheets write them."""

import csv
from collections.abc import Iterator


def lines(text: str) -> Iterator[tuple[int, list[str] | str]]:
    """Number and cells of each line that is not empty, without the spaces around; a sentence where it is not CSV."""
    rows = csv.reader(text.splitlines(), strict=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield rows.line_num, f"not CSV: {error}"
            continue
        if row is None:
            return
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield rows.line_num, cells
