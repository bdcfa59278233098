"""Faults with several adapters, and what their messages say to do instead, done."""

import torch
from advice import obey, options, told
from torch import nn

import lorabook as lb
from lorabook.core.fit import cross_entropy
from lorabook.many.combine import Truncated, combined
from lorabook.many.federated import Federation
from lorabook.many.hub import compose
from lorabook.many.stacking import attach

X, Y = torch.randn(4, 8, generator=torch.Generator().manual_seed(1)), torch.arange(4)


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 10))


def adapted() -> nn.Module:
    model = plain()
    lb.inject(model, lb.LoRA(r=2), "0")
    lb.fit(model, [(X, Y)] * 3, steps=3, lr=1e-2, progress=False)
    return model


def served(model: nn.Module) -> None:
    with lb.serving(model, ["anna", None, "anna", None]):
        model(X)


def case_an_empty_bank() -> None:
    for adapters in ({}, {"anna": {}}):
        message = told(ValueError, lambda adapters=adapters: lb.bank(plain(), adapters))
        given = obey(message, "{'anna': pairs_of(model)}", pairs_of=lb.pairs_of, model=adapted())
        model = plain()
        lb.bank(model, given)
        served(model)


def case_the_bank_in_place_of_its_model() -> None:
    adapters, model = {"anna": lb.pairs_of(adapted())}, plain()
    held = lb.bank(model, adapters)

    def wrong():
        with lb.serving(held, ["anna"]):
            pass

    message = told(TypeError, wrong)
    model = plain()
    obey(message, "bank(model, adapters)", bank=lb.bank, model=model, adapters=adapters)
    served(model)


def case_no_bank() -> None:
    adapters, model = {"anna": lb.pairs_of(adapted())}, plain()
    message = told(ValueError, lambda: served(model))
    obey(message, "bank(model, adapters)", bank=lb.bank, model=model, adapters=adapters)
    served(model)


def case_a_bank_that_is_run_without_a_choice() -> None:
    model = plain()
    lb.bank(model, {"anna": lb.pairs_of(adapted())})
    message = told(RuntimeError, lambda: model(X))
    with obey(message, "serving(model, names)", serving=lb.serving, model=model, names=["anna"] * 4):
        model(X)


def case_a_name_for_a_way_to_combine() -> None:
    adapters = {"anna": lb.pairs_of(adapted()), "ben": lb.pairs_of(adapted())}
    weights = {"anna": 0.5, "ben": 0.5}
    message = told(TypeError, lambda: combined(adapters, weights, "svd"))
    attach(plain(), combined(adapters, weights, obey(message, "Truncated(r)", Truncated=Truncated, r=2)))


def case_nothing_to_combine() -> None:
    message = told(ValueError, lambda: lb.stack(plain(), {}, {}))
    lb.stack(plain(), obey(message, "{'anna': pairs_of(model)}", pairs_of=lb.pairs_of, model=adapted()), {"anna": 1.0})
    message = told(ValueError, lambda: lb.stack(plain(), {"anna": {}}, {"anna": 1.0}))
    state = obey(message, "pairs_of(adapted_model)", pairs_of=lb.pairs_of, adapted_model=adapted())
    lb.stack(plain(), {"anna": state}, {"anna": 1.0})


def case_adapters_without_names() -> None:
    pairs = lb.pairs_of(adapted())
    message = told(TypeError, lambda: lb.stack(plain(), [pairs], [1.0]))
    named = obey(message, "{'anna': pairs_of(adapted_model)}", pairs_of=lb.pairs_of, adapted_model=adapted())
    lb.stack(plain(), named, {"anna": 1.0})
    message = told(TypeError, lambda: lb.stack(plain(), {"anna": adapted()}, {"anna": 1.0}))
    state = obey(message, "pairs_of(adapted_model)", pairs_of=lb.pairs_of, adapted_model=adapted())
    lb.stack(plain(), {"anna": state}, {"anna": 1.0})


def case_an_adapter_of_nothing() -> None:
    message = told(ValueError, lambda: attach(plain(), {}))
    attach(plain(), obey(message, "pairs_of(adapted_model)", pairs_of=lb.pairs_of, adapted_model=adapted()))


def case_an_adapter_on_an_adapter() -> None:
    pairs, model = lb.pairs_of(adapted()), adapted()
    message = told(ValueError, lambda: attach(model, pairs))
    obey(message, "merge(model)", merge=lb.merge, model=model)
    attach(model, pairs)


def case_noise_that_is_a_number() -> None:
    from lorabook.axes.optim.private import Noise

    clients, more = [lambda: [(X, Y)] * 2], {"q": 1.0, "steps": 1, "lr": 0.1, "generator": torch.Generator()}
    message = told(TypeError, lambda: Federation(clients, noise=1.0, **more))
    noise = obey(message, "Noise(C, sigma, expected)", Noise=Noise, C=1.0, sigma=0.0, expected=1.0)
    assert noise == Noise(1.0, **options(message, "sigma = 0"), expected=1.0)
    Federation(clients, noise=noise, **more)


def case_a_loss_that_is_no_function() -> None:
    adapters, batch = {"anna": lb.pairs_of(adapted())}, (X, Y)
    message = told(TypeError, lambda: compose(plain(), adapters, batch))
    loss = obey(message, "lambda model: cross_entropy(model, batch)", cross_entropy=cross_entropy, batch=batch)
    compose(plain(), adapters, loss, budget=4, progress=False)


def case_tasks_on_an_adapted_model() -> None:
    def task(model: nn.Module) -> None:
        lb.fit(model, [(X, Y)] * 2, steps=2, lr=1e-2, progress=False)

    model = adapted()
    message = told(ValueError, lambda: lb.learn_in_turn(model, [task], lb.LoRA(r=2), "0"))
    obey(message, "merge(model)", merge=lb.merge, model=model)
    lb.learn_in_turn(model, [task], lb.LoRA(r=2), "0")


def case_a_task_that_is_a_list() -> None:
    batches = [(X, Y)] * 200
    message = told(TypeError, lambda: lb.learn_in_turn(plain(), [batches], lb.LoRA(r=2), "0"))
    task = obey(message, "lambda model: fit(model, batches, steps=200, lr=1e-2)", fit=lb.fit, batches=batches)
    lb.learn_in_turn(plain(), [task], lb.LoRA(r=2), "0")


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]
