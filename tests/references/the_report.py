"""Assignment 3, as a teacher would make it: `python tests/references/the_report.py` writes `the_report/` beside it."""

### BEGIN SOLUTION
import csv
import json
from pathlib import Path

from lorabook.book.assignments.report_run import run

FOLDER = Path(__file__).parent / "the_report"
CONTENDERS = (("LoRA", 8, 16.0, 0.01), ("LoHa", 4, 16.0, 0.02), ("VeRA", 64, 1.0, 0.05))
SEEDS = range(5)


def write_all():
    rows = []
    (FOLDER / "curves").mkdir(parents=True, exist_ok=True)
    for form, r, alpha, rate in CONTENDERS:
        for seed in SEEDS:
            done = run(form, r, alpha, rate, seed)
            name = f"curves/{form.lower()}-{seed}.csv"
            with (FOLDER / name).open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([("step", "loss"), *enumerate(done.losses)])
            rows.append({"form": form, "r": r, "alpha": alpha, "rate": rate, "seed": seed, "trained": done.trained,
                         "final": done.final, "curve": name})  # fmt: skip
            print(form, seed, done.final, flush=True)
    (FOLDER / "results.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    write_all()
### END SOLUTION
