"""Cells that bear nbgrader's metadata: what a student writes in, what is locked, what gives points."""

from nbformat import NotebookNode

STUB = "# YOUR CODE HERE\n    raise NotImplementedError()"


def locked(sheet: str, what: str, cell: NotebookNode) -> NotebookNode:
    """Return a cell that nobody is to change."""
    return _marked(cell, f"{sheet}-{what}", solution=False, grade=False, locked=True)


def answered(sheet: str, what: str, cell: NotebookNode) -> NotebookNode:
    """Return a cell that a student writes in."""
    return _marked(cell, f"{sheet}-{what}", solution=True, grade=False, locked=False)


def graded(sheet: str, what: str, cell: NotebookNode, points: float) -> NotebookNode:
    """Return a cell whose output nbgrader takes for points."""
    return _marked(cell, f"{sheet}-{what}-points", solution=False, grade=True, locked=True, points=points)


def _marked(cell: NotebookNode, grade_id: str, **roles: object) -> NotebookNode:
    cell.metadata["nbgrader"] = {
        "schema_version": 3, "grade_id": grade_id, "task": False, "cell_type": cell.cell_type, **roles
    }  # fmt: skip
    return cell
