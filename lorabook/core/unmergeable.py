"""What trains beside a model and cannot be folded into its matrices."""

from abc import ABC, abstractmethod

from torch import nn


class Unmergeable(nn.Module, ABC):
    """A trained part of a model that no matrix in the place of W₀ can stand for."""

    @property
    @abstractmethod
    def why(self) -> str:
        """The reason, as the end of a sentence: “… cannot be merged: ”."""


def refuse_unsaved(model: nn.Module) -> None:
    """Refuse to save the adapters of a model alone when a part of what trained beside them would be lost.

    Raises:
        ValueError: naming the part, and what to do.
    """
    for name, module in model.named_modules():
        if isinstance(module, Unmergeable):
            raise ValueError(
                f"{name or 'the model'} holds a {type(module).__name__}, which no adapter file can hold, and what was "
                "trained beside it is not the same without it: save the whole model, "
                "safetensors.torch.save_model(model, 'model.safetensors')"
            )


def refuse_unmergeable(model: nn.Module) -> None:
    """Refuse to merge a model of which a part would be left behind.

    Raises:
        ValueError: naming the part, the reason, and what to do.
    """
    for name, module in model.named_modules():
        if isinstance(module, Unmergeable):
            raise ValueError(
                f"{name or 'the model'} holds a {type(module).__name__}, which cannot be merged: {module.why}. Keep it "
                "beside the model at inference, or train a low-rank update instead"
            )
