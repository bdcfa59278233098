"""Wrong versions of the assignments' references: a few words exchanged, and the diagnosis due."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

IMPORTS = "from lorabook.core.lora import uniform_rows\nfrom lorabook.core.recipe import Factors\n"
REFERENCES = Path(__file__).parent / "references"


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

TWO_FORMS = (
    Wrong("LoHaUpdate", "no-base", "return w0 + self.s * (self.B @ self.A) *", "return self.s * (self.B @ self.A) *"),
    Wrong("LoHaUpdate", "no-scale", "w0 + self.s * (self.B @ self.A) *", "w0 + (self.B @ self.A) *"),
    Wrong("LoHaUpdate", "sum", "self.s * (self.B @ self.A) * (self.B2 @ self.A2)",
          "self.s * (self.B @ self.A + self.B2 @ self.A2)"),
    Wrong("LoHaUpdate", "one-pair", " * (self.B2 @ self.A2)", ""),
    Wrong("LoHaUpdate", "crossed", "(self.B @ self.A) * (self.B2 @ self.A2)",
          "(self.B @ self.A2) * (self.B2 @ self.A)"),
    Wrong("LoHaUpdate", "factors", "(self.B @ self.A) * (self.B2 @ self.A2)",
          "((self.B * self.B2) @ (self.A * self.A2))"),
    Wrong("LoHaUpdate", "start", "nn.Parameter(factors.B)", "nn.Parameter(factors.B + 1)"),
    Wrong("LoHaUpdate", "dead", "nn.Parameter(second_b)", "nn.Parameter(0 * second_b)"),
    Wrong("LoHaUpdate", "count", "self.s = spec.scale", "self.s = nn.Parameter(torch.tensor(spec.scale).double())"),
    Wrong("LoHaUpdate", "no-bias", "self.weight(base.matrix), base.bias)", "self.weight(base.matrix))"),
    Wrong("LoHaUpdate", "path", "base.apply_matrix(x, self.weight(base.matrix), base.bias)",
          "base(x) + x @ self.weight(base.matrix).T"),
    Wrong("LoHaUpdate", "gradient", "base.apply_matrix(x, self.weight(base.matrix), base.bias)",
          "base(x) + self.s * x @ ((self.B @ self.A) * (self.B2 @ self.A2).detach()).T"),
    Wrong("LoHaUpdate", "type", "class LoHaUpdate(Update)", "class LoHaUpdate(nn.Module)"),
    Wrong("VeRAUpdate", "no-b", "self.s * self.b[:, None] * (b @", "self.s * (b @"),
    Wrong("VeRAUpdate", "no-d", "(b @ (self.d[:, None] * a))", "(b @ a)"),
    Wrong("VeRAUpdate", "last-slice", "self.shared[0][:, :d_in], self.shared[1][:d_out]",
          "self.shared[0][:, -d_in:], self.shared[1][-d_out:]"),
    Wrong("VeRAUpdate", "copies", "self.shared = (A, B)", "self.shared = (A.clone(), B.clone())"),
    Wrong("VeRAUpdate", "count", "self.shared = (A, B)", "self.shared = nn.ParameterList([A, B])"),
    Wrong("VeRAUpdate", "begins", "(spec.r,), 0.1", "(spec.r,), 0.2"),
    Wrong("VeRAUpdate", "dead", "(spec.r,), 0.1", "(spec.r,), 0.0"),
    Wrong("VeRAUpdate", "start+begins", "torch.zeros(d_out", "torch.ones(d_out"),
    Wrong("VeRAUpdate", "builds", "return base.two_paths(x, x, a, self.b[:, None] * b * self.d, self.s, base.bias)",
          "return base.apply_matrix(x, self.weight(base.matrix), base.bias)"),
    Wrong("loha_file", "keys", "base_model.model.{layer}.{end}", "base_model.{layer}.{end}"),
    Wrong("loha_file", "swapped", '"hada_w1_a": update.B, "hada_w1_b": update.A',
          '"hada_w1_a": update.A, "hada_w1_b": update.B'),
    Wrong("loha_file", "turned", "tensor.detach() for end", "tensor.detach().T for end"),
    Wrong("loha_file", "scaled", '"hada_w1_a": update.B,', '"hada_w1_a": update.s * update.B,'),
    Wrong("loha_file", "extra", '"hada_w2_b": update.A2}', '"hada_w2_b": update.A2, "alpha": update.A}'),
    Wrong("vera_file", "keys", '"base_model.vera_B": b}', "}"),
    Wrong("vera_file", "numbers", "a, b = update.shared", "a, b = update.sliced()"),
    Wrong("loss_curve", "decay", ", weight_decay=0.0", ""),
    Wrong("loss_curve", "piles-up", "            optimizer.zero_grad()\n", ""),
    Wrong("loss_curve", "sum", "square().mean()", "square().sum()"),
    Wrong("loss_curve", "sgd", "torch.optim.AdamW(", "torch.optim.SGD("),
    Wrong("loss_curve", "late", "    return losses", "    return losses[1:]"),
    Wrong("loss_curve", "length", "    return losses", "    return losses[:-1]"),
    Wrong("loss_curve", "curve", "lr=rate", "lr=2 * rate"),
    Wrong("summary", "losses", "math.exp(loss)", "loss"),
    Wrong("summary", "biased", "statistics.stdev", "statistics.pstdev"),
    Wrong("summary", "bits", "math.exp(loss)", "2**loss"),
    Wrong("summary", "exp-of-mean", "(statistics.fmean(runs), statistics.stdev(runs)) for runs in perplexities",
          "(math.exp(statistics.fmean(f)), statistics.stdev(runs)) for f, runs in zip(finals, perplexities)"),
    Wrong("summary", "table", "math.exp(loss)", "3**loss"),
)  # fmt: skip


@dataclass(frozen=True)
class WrongFiles:
    """A change to the files of a reference: the part that must notice, the code due, the file and how it changes."""

    part: str
    code: str
    file: str
    change: Callable[[str], str | None]

    def files(self, right: dict[str, bytes]) -> dict[str, bytes]:
        text = self.change(right[self.file].decode())
        rest = {name: content for name, content in right.items() if name != self.file}
        return rest if text is None else {**rest, self.file: text.encode()}


def of_rows(change: Callable[[list[dict]], object]) -> Callable[[str], str]:
    """Return how the rows of results.json are changed."""

    def changed(text: str) -> str:
        told = json.loads(text)
        change(told["rows"])
        return json.dumps(told)

    return changed


def each(**new: object) -> Callable[[list[dict]], object]:
    return lambda rows: [row.update(new) for row in rows]


def shifted(rows: list[dict]) -> None:
    for row in rows:
        row["final"] -= 0.3


CURVE = "curves/lora-0.csv"
THE_REPORT = (
    WrongFiles("results", "not-attempted", "results.json", lambda text: None),
    WrongFiles("results", "no-json", "results.json", lambda text: text[:-9]),
    WrongFiles("results", "no-json", "results.json", lambda text: "[" * 100_000),
    WrongFiles("results", "no-json", "results.json", lambda text: '{"rows": [3]}'),
    WrongFiles("results", "schema", "results.json", of_rows(each(final="low"))),
    WrongFiles("results", "schema", "results.json", of_rows(each(final=float("nan")))),
    WrongFiles("results", "schema", "results.json", of_rows(each(r=10**9))),
    WrongFiles("results", "schema", "results.json", of_rows(each(form="DoRA"))),
    WrongFiles("results", "seeds", "results.json", of_rows(lambda rows: rows.__delitem__(slice(2, None)))),
    WrongFiles("results", "twice", "results.json", of_rows(each(form="LoRA", r=8, alpha=16.0, rate=0.01, seed=0))),
    WrongFiles("curves", "no-curve", CURVE, lambda text: None),
    WrongFiles("curves", "no-table", CURVE, lambda text: text.replace("step,loss", "loss,step")),
    WrongFiles("curves", "no-table", CURVE, lambda text: text.rpartition("19,")[0]),
    WrongFiles("curves", "no-table", CURVE, lambda text: ""),
    WrongFiles("curves", "same-curve", "results.json", of_rows(each(curve=CURVE))),
    WrongFiles("numbers", "strange-number", "report.md", lambda text: text.replace("4.085", "3.985")),
    WrongFiles("numbers", "strange-number", "results.json", of_rows(shifted)),
    WrongFiles("numbers", "no-numbers", "report.md", lambda text: text.replace(".0", " ").replace(".", " ")),
    WrongFiles("text", "heads", "report.md", lambda text: text.replace("## Limits", "")),
    WrongFiles("text", "short", "report.md", lambda text: "# Question\n# Setting\n# Results\n# Limits\n"),
    WrongFiles("text", "not-attempted", "report.md", lambda text: None),
    WrongFiles("again", "not-again", "results.json", of_rows(shifted)),
    WrongFiles("again", "trained", "results.json", of_rows(each(trained=7))),
    WrongFiles("again", "other-curve", "results.json", of_rows(each(rate=0.002))),
)
