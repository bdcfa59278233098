"""Wrong versions of the assignments' references: a few words exchanged, and the diagnosis due."""

from dataclasses import dataclass
from pathlib import Path

IMPORTS = "from lorabook.core.lora import uniform_rows\nfrom lorabook.core.recipe import Factors\n"
REFERENCES = Path(__file__).parent.parent / "references"


@dataclass(frozen=True)
class Wrong:
    """A slip in a reference: the part it is in, what is exchanged, the code due."""

    part: str
    code: str
    old: str
    new: str

    def source(self, assignment: str) -> str:
        text = (REFERENCES / f"{assignment}.py").read_text(encoding="utf-8")
        assert text.count(self.old) >= 1, f"{self.old!r} is not in the reference of {assignment}"
        return IMPORTS + text.replace(self.old, self.new, 1)


FIVE_CLAIMS = (
    Wrong("alpha_doubles", "does-not-hold", "return delta(case, 2 * case.s), 2 * delta(case, case.s)",
          "return delta(case, 2 * case.s), delta(case, case.s)"),
    Wrong("alpha_doubles", "says-nothing", "return delta(case, 2 * case.s), 2 * delta(case, case.s)",
          "f = case.factors(); d = 2 * case.s * f.B @ f.A; return d, d.clone()"),
    Wrong("alpha_doubles", "other-observation", "return delta(case, 2 * case.s), 2 * delta(case, case.s)",
          "f = case.factors(); return delta(case, case.s), case.s * f.B @ f.A"),
    Wrong("alpha_doubles", "misconception-holds", "4 * delta(case, case.s)", "2 * delta(case, case.s)"),
    Wrong("alpha_doubles", "other-misconception", "4 * delta(case, case.s)", "3 * delta(case, case.s)"),
    Wrong("alpha_doubles", "no-reason", "α stands in front of BA once, in s = α/r", "obvious"),
    Wrong("alpha_doubles", "no-misconception", "of=alpha_doubles", "of=ranks_of"),
    Wrong("alpha_doubles", "raised", "return delta(case, 2 * case.s), 2 * delta(case, case.s)", "return 1 / 0, 0"),
    Wrong("alpha_doubles", "relation", 'source="α stands', 'relation="<=", source="α stands'),
    Wrong("ranks_add", "does-not-hold", "rank_of_sum(case), torch.tensor(2 * case.r)",
          "rank_of_sum(case), torch.tensor(case.r)"),
    Wrong("ranks_add", "relation", '    relation="<=",\n', ""),
    Wrong("ranks_add", "other-observation", "rank_of_sum(case), torch.tensor(2 * case.r)",
          "torch.linalg.matrix_rank(delta(case, case.s)), torch.tensor(2 * case.r)"),
    Wrong("ranks_add", "no-reason", "the column space of a sum lies in the sum of the column spaces", ""),
    Wrong("first_step", "does-not-hold", "-RATE * case.s**2 * g @ a.T @ a", "-RATE * case.s * g @ a.T @ a"),
    Wrong("first_step", "does-not-hold", "-RATE * case.s**2 * g @ a.T @ a", "-RATE * g"),
    Wrong("first_step", "sides", "-RATE * case.s**2 * g @ a.T @ a", "(-RATE * case.s**2 * g @ a.T @ a).sum()"),
    Wrong("first_step", "zero", "p -= RATE * p.grad", "p -= 0 * p.grad; y.zero_()"),
    Wrong("first_step", "misses-random+misses-zero", "start = KaimingStart().build(base.matrix, case.spec())",
          "rows = uniform_rows(case.r, case.d_in, base.matrix, case.spec().generator)\n"
          "    start = Factors(rows, torch.zeros(case.d_out, case.r).double())"),
    Wrong("pairs_trade", "does-not-hold", "hadamard(case, 3, 1 / 3)", "hadamard(case, 3, 1)"),
    Wrong("pairs_trade", "other-observation", "hadamard(case, 3, 1 / 3), hadamard(case, 1, 1)",
          "hadamard(case, 3, 3), 9 * hadamard(case, 1, 1)"),
    Wrong("pairs_trade", "says-nothing", "hadamard(case, 3, 1 / 3), hadamard(case, 1, 1)",
          "hadamard(case, 1, 1), hadamard(case, 1, 1)"),
    Wrong("pairs_trade", "misconception-holds", "hadamard(case, 3, 3), 3 *", "hadamard(case, 3, 3), 9 *"),
    Wrong("dropout_costs", "does-not-hold", "return mean, plain + added, error", "return mean, plain, error"),
    Wrong("dropout_costs", "unmeasured", "squares.std() / DRAWS**0.5", "squares.std()"),
    Wrong("dropout_costs", "sides", "return mean, plain + added, error", "return mean, plain + added"),
    Wrong("dropout_costs", "no-misconception", "return mean, plain, error", "return mean, plain"),
)  # fmt: skip
