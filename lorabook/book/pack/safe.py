"""What a student may be told of a verdict: nothing that an answer could have made of a hidden input."""

from collections.abc import Set

from lorabook.book.classroom.judge import RIGHT, Judgement

ELSEWHERE = "Right on the public inputs, and wrong on others: what is special about the public ones?"
FAULTS = {
    "not-attempted": "Not attempted yet.",
    "not-defined": "The function is not defined in a cell that Python can read.",
    "endless": "The function did not come to an end.",
    "killed": "The process that ran the function ended before it gave an answer, or used more than it may.",
    "output": "The function gave far more than is asked for.",
    "memory": "The function needed more memory than there was.",
}
"""What may be said of a failure that shows on hidden inputs alone."""


def safe(on_all: Judgement, on_public: Judgement, bank: Set[str]) -> str:
    """Return what may be told; `bank` holds the codes whose words are the book's, whatever the inputs were."""
    if on_all.code == RIGHT:
        return "Right, on the public inputs and on others."
    if set(on_all.code.split("+")) <= bank:
        return on_all.says
    if on_public.code != RIGHT:  # on these inputs whatever it says is public
        return on_public.says
    return FAULTS.get(on_all.code, ELSEWHERE)
