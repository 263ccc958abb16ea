"""A table of thousands of rows in the browser's AG Grid, to which only the rows that changed are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

# One row: `id`, and a value for each column's field.
Row = Mapping[str, str | float | None]

# Up to here the table is as high as its rows; past it, it scrolls and draws only what is seen.
MAX_ROWS_IN_FULL = 12


def column(field: str, title: str, kind: str = "text", *, width: int = 120, grow: int = 0, from_width: int = 0) -> dict[str, Any]:
    """Describe a column; it is shown where the table has `from_width` pixels. Kinds are those of fieldfare.js."""
    definition: dict[str, Any] = {"field": field, "headerName": title, "width": width, "context": {"from": from_width}}
    if grow:
        definition.update(flex=grow, minWidth=width)
    if kind != "text":
        definition[":cellRenderer"] = f"fieldfare.cells.{kind}"
    if kind == "badge":
        definition[":comparator"] = "fieldfare.byUrgency"
    if kind in ("meter", "celsius", "number", "ago"):
        definition["type"] = "rightAligned"
        definition[":getQuickFilterText"] = "() => ''"
    return definition


class LiveGrid:
    """The table; its rows are known by `id`."""

    def __init__(self, columns: Sequence[Mapping[str, Any]], *, label: str, open_under: str = "") -> None:
        """Take the place; with `open_under`, a row opens the page of that path and its id."""
        self._rows: dict[str, Row] = {}
        self._grid = ui.aggrid(
            {
                "columnDefs": list(columns),
                "defaultColDef": {"sortable": True, "resizable": True, "suppressMovable": True, "suppressHeaderMenuButton": True},
                "rowData": [],
                "rowHeight": 36,
                "headerHeight": 34,
                "animateRows": False,
                "domLayout": "autoHeight",
                "context": {"openUnder": open_under},
                "overlayNoRowsTemplate": "Nothing to show",
                ":getRowId": "params => params.data.id",
                ":onGridSizeChanged": "fieldfare.fitColumns",
                ":onRowClicked": "fieldfare.openRow",
                ":onCellKeyDown": "fieldfare.openRowByKey",
                ":onGridReady": "fieldfare.keepAgesFresh",
            },
            auto_size_columns=False,
        ).classes("ff-grid")
        self._grid.props(f'role=region aria-label="{label}"')
        self._is_built = False

    def show(self, rows: Sequence[Row]) -> None:
        """Bring the table to `rows`; those that are as before are not sent again."""
        found = {str(row["id"]): row for row in rows}
        if not self._is_built:
            self._is_built = True
            self._grid.options["rowData"] = list(rows)
            self._lay_out(len(found), at_start=True)
        else:
            change = {
                "add": [row for id_, row in found.items() if id_ not in self._rows],
                "update": [row for id_, row in found.items() if id_ in self._rows and self._rows[id_] != row],
                "remove": [{"id": id_} for id_ in self._rows if id_ not in found],
            }
            if any(change.values()):
                self._grid.run_grid_method("applyTransaction", change)
            if len(found) != len(self._rows):
                self._lay_out(len(found), at_start=False)
        self._rows = found

    def filter(self, text: str) -> None:
        """Show only rows in which every word of `text` occurs."""
        self._grid.run_grid_method("setGridOption", "quickFilterText", text)

    def _lay_out(self, count: int, *, at_start: bool) -> None:
        layout = "autoHeight" if count <= MAX_ROWS_IN_FULL else "normal"
        self._grid.classes(add="ff-grid-tall" if layout == "normal" else "", remove="ff-grid-tall" if layout == "autoHeight" else "")
        if at_start:
            self._grid.options["domLayout"] = layout
        else:
            self._grid.run_grid_method("setGridOption", "domLayout", layout)
