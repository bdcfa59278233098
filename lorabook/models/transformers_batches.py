"""What a model and the batches of transformers need to be trained by `fit`: dictionaries become pairs."""

from collections.abc import Iterable, Iterator, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.batch import Batch, Part


def transformers_pairs(batches: Iterable[Mapping[str, Tensor]], labels: str = "labels") -> Iterator[Batch]:
    """Give each batch, a dictionary as transformers' collators make them, as the pair (everything else, labels).

        fit(model, transformers_pairs(loader), loss=transformers_loss, steps=len(loader), lr=1e-3)

    Args:
        batches: of tensors by the names of the model's arguments. A DataLoader ends after an epoch:
            `itertools.chain.from_iterable(itertools.repeat(loader))` goes on.
        labels: the key of the targets.

    Raises:
        TypeError: a batch is no dictionary of tensors. ValueError: it has no labels.
    """
    for batch in batches:
        if not isinstance(batch, Mapping):
            raise TypeError(
                f"batches gave a {type(batch).__name__}, and transformers_pairs takes dictionaries of tensors: pairs "
                "can be given to fit as they are"
            )
        strange = [name for name, part in batch.items() if not isinstance(part, Tensor)]
        if strange:
            raise TypeError(
                f"the entry {strange[0]!r} of a batch is a {type(batch[strange[0]]).__name__}, no tensor: let a "
                "collator of transformers pad the texts, or take the entry out"
            )
        if labels not in batch:
            raise ValueError(
                f"a batch has the keys {', '.join(batch)} and no {labels!r}: name the key of the targets, or add them; "
                "a causal language model's are batch | {'labels': batch['input_ids']}"
            )
        yield {name: part for name, part in batch.items() if name != labels}, batch[labels]


def transformers_loss(model: nn.Module, batch: tuple[Mapping[str, Tensor], Part]) -> Float[Tensor, ""]:
    """Return the loss that a model of transformers computes from its own inputs and labels.

    A causal model shifts the labels by itself: give those of the same positions as the inputs.

    Raises:
        ValueError: the model returns no loss.
    """
    inputs, labels = batch
    answer = model(**inputs, labels=labels)
    loss = answer[0] if isinstance(answer, tuple) else answer.get("loss")
    if loss is None:
        raise ValueError(
            f"{type(model).__name__} returned no loss: take the class with a head for the task, such as "
            "AutoModelForCausalLM, or give fit a loss of your own"
        )
    return loss
