"""The optimisers of a run: AdamW for everything, or Muon for the matrices and AdamW for the rest."""

from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from unhiss.errors import ConfigError
from unhiss.settings import TrainConfig

EPS = 1e-7


def build_optimisers(model: nn.Module, config: TrainConfig, fused: bool) -> dict[str, Optimizer]:
    """The optimisers of a model, by the name under which a checkpoint holds their state.

    Muon makes all directions of a matrix's step equally long, so that recurrent weights move in more ways than those of
    the steepest loss. Its steps have the size of AdamW's, and both take one learning rate. Raises ConfigError where a
    model has no matrices for it, as the U-Net.
    """
    decay = config.weight_decay
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in model.parameters():
        (matrices if config.optimiser == "muon" and parameter.ndim == 2 else rest).append(parameter)
    optimisers: dict[str, Optimizer] = {"adam": AdamW(rest, lr=config.lr, eps=EPS, weight_decay=decay, fused=fused)}
    if config.optimiser == "muon":
        if not matrices:
            raise ConfigError("train.optimiser = 'muon' trains matrices, and this model has none; give adamw")
        optimisers["muon"] = Muon(matrices, lr=config.lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return optimisers
