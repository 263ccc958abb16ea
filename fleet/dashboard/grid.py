"""A table in the browser's AG Grid that shows one page of a long list, and to which only the rows that changed are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

# One row: `id`, and a value for each column's field.
Row = Mapping[str, str | float | None]


def column(field: str, title: str, kind: str = "text", *, width: int = 120, grow: int = 0, from_width: int = 0) -> dict[str, Any]:
    """Describe a column; it is shown where the table has `from_width` pixels. Kinds are those of fieldfare.js."""
    definition: dict[str, Any] = {"field": field, "headerName": title, "width": width, "context": {"from": from_width}}
    if grow:
        definition.update(flex=grow, minWidth=width)
    if kind != "text":
        definition[":cellRenderer"] = f"fieldfare.cells.{kind}"
    if kind in ("meter", "celsius", "number", "ago"):
        definition["type"] = "rightAligned"
    return definition


class LiveGrid:
    """The table; its rows are known by `id`."""

    def __init__(self, columns: Sequence[Mapping[str, Any]], *, label: str, open_under: str = "", is_selectable: bool = False) -> None:
        """Take the place; with `open_under`, a row opens the page of that path and its id; rows may be selectable by boxes."""
        self._rows: dict[str, Row] = {}
        selection = {"mode": "multiRow", "enableClickSelection": False, "enableSelectionWithoutKeys": True}
        self._grid = ui.aggrid(
            {
                "columnDefs": list(columns),
                # Rows come in the server's order: here is only a part of them.
                "defaultColDef": {"sortable": False, "resizable": True, "suppressMovable": True, "suppressHeaderMenuButton": True},
                "rowData": [],
                "rowHeight": 36,
                "headerHeight": 34,
                "animateRows": False,
                "domLayout": "autoHeight",
                "context": {"openUnder": open_under},
                "overlayNoRowsTemplate": "Nothing to show",
                **({"rowSelection": selection} if is_selectable else {}),
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
        """Bring the table to `rows`, in their order; the browser draws anew only what is other than before."""
        found = {str(row["id"]): row for row in rows}
        if list(found.items()) == list(self._rows.items()) and self._is_built:
            return
        if not self._is_built:
            self._grid.options["rowData"] = list(rows)
        elif list(found) == list(self._rows):
            self._grid.run_grid_method("applyTransaction", {"update": [row for id_, row in found.items() if self._rows[id_] != row]})
        else:
            self._grid.run_grid_method("setGridOption", "rowData", list(rows))
        self._is_built = True
        self._rows = found

    async def selected(self) -> tuple[str, ...]:
        """Return the ids of the rows whose boxes are ticked."""
        return tuple(str(row["id"]) for row in await self._grid.get_selected_rows())

    def deselect(self) -> None:
        """Untick all boxes."""
        self._grid.run_grid_method("deselectAll")
