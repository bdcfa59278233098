"""Which adapters a loss has reached: one that gets no gradient never learns, and nothing else would say so."""

import warnings

from torch import Tensor, nn

from lorabook.core.adapted_layer import adapted

PAST = (
    "the model did not use them for this batch (as an expert that no token was sent to), or reaches the plain layers "
    "past its module tree: a Python list, a tuple, a function that holds one. Keep layers in nn.ModuleList"
)


def refuse_unreachable(loss: Tensor, step: int) -> None:
    """Refuse a loss that depends on nothing that trains.

    Raises:
        ValueError: saying what may be the cause.
    """
    if not loss.requires_grad:
        raise ValueError(
            f"the loss of step {step} depends on nothing that trains: the model was run under torch.no_grad(), or its "
            f"adapters were passed by, because {PAST}"
        )


def tell_unreached(model: nn.Module, step: int) -> None:
    """Say which adapters got no gradient in a step, while the gradients are there.

    Raises:
        ValueError: none got one. UserWarning: some got none.
    """
    trained = {
        name: [p for p in layer.update.parameters() if p.requires_grad] for name, layer in adapted(model).items()
    }
    could = {name: parameters for name, parameters in trained.items() if parameters}
    unreached = [name for name, parameters in could.items() if all(p.grad is None for p in parameters)]
    if not unreached:
        return
    some = ", ".join(unreached[:6]) + (" …" if len(unreached) > 6 else "")
    told = f"{len(unreached)} of {len(could)} adapters got no gradient in step {step} ({some}): {PAST}"
    if len(unreached) == len(could):
        raise ValueError(told)
    warnings.warn(told, stacklevel=2)
