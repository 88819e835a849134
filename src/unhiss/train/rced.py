"""R-CED: a small fully convolutional denoiser along frequency (Park and Lee, arXiv 1609.07132)."""

from torch import Tensor, nn
from torch.nn import functional

FILTERS = (12, 16, 20, 24, 32, 24, 20, 16, 12)
WIDTHS = (13, 11, 9, 7, 7, 7, 9, 11, 13)
CONTEXT = 8  # columns of the first layer: this one and seven before it
SPAN = 129  # width of the last filter: the whole spectrum


class RCED(nn.Module):
    """Ten convolutions along frequency, batch norm and ReLU, skips; `(B, 1, 128, 128)` -> the same.

    layer   1    2    3    4    5    6    7    8    9   10
    filters 12   16   20   24   32   24   20   16   12    1
    width   13   11    9    7    7    7    9   11   13  129    (bins; layer 1 also spans 8 columns)
    32,765 parameters. The output of layer k is added to layer 10 - k, k = 1 … 4, before its ReLU: the numbers of
    filters are symmetric, so the shapes agree. No pooling: each layer keeps all 128 bins.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (1, *FILTERS[:-1])
        contexts = (CONTEXT,) + (1,) * (len(FILTERS) - 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(i, o, (width, context), padding=(width // 2, 0))
            for i, o, width, context in zip(inputs, FILTERS, WIDTHS, contexts, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in FILTERS)
        self.last = nn.Conv2d(FILTERS[-1], 1, (SPAN, 1), padding=(SPAN // 2, 0))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (CONTEXT - 1, 0, 0, 0), mode="replicate")
        skips: list[Tensor] = []
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x))
            mirror = len(FILTERS) - 1 - number
            if mirror < len(skips) and mirror != number:
                x = x + skips[mirror]
            x = functional.relu(x)
            skips.append(x)
        out: Tensor = self.last(x)
        return out
