"""The two networks against the tables of the systems they come from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unhiss.settings import ModelConfig
from unhiss.train.networks import FrameNetwork
from unhiss.train.rced import RCED
from unhiss.train.unet import UNet

# (parameters, height = width, channels) of each convolution in the order it runs: the published model summary.
UNET = [
    (160, 128, 16), (2320, 128, 16), (4640, 64, 32), (9248, 64, 32), (18496, 32, 64), (36928, 32, 64),
    (73856, 16, 128), (147584, 16, 128), (295168, 8, 256), (590080, 8, 256),
    (131200, 16, 128), (295040, 16, 128), (147584, 16, 128), (32832, 32, 64), (73792, 32, 64), (36928, 32, 64),
    (8224, 64, 32), (18464, 64, 32), (9248, 64, 32), (2064, 128, 16), (4624, 128, 16), (2320, 128, 16),
    (290, 128, 2), (3, 128, 1),
]  # fmt: skip


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def convolutions(model: nn.Module) -> list[tuple[nn.Conv2d, tuple[int, ...]]]:
    """Each convolution with its output's shape, in the order they run."""
    seen: list[tuple[nn.Conv2d, tuple[int, ...]]] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda layer, _, output: seen.append((layer, tuple(output.shape[1:]))))
    with torch.no_grad():
        model.eval()(torch.rand(1, 1, 128, 128))
    return seen


def test_unet_has_the_published_layers_in_their_order() -> None:
    layers = [(size(layer), shape) for layer, shape in convolutions(UNet())]
    assert layers == [(count, (channels, side, side)) for count, side, channels in UNET]


def test_unet_has_1941093_parameters() -> None:
    assert size(UNet()) == sum(count for count, *_ in UNET) == 1_941_093


def test_unet_kernels_are_3_by_3_but_for_the_widening_and_the_last() -> None:
    kernels = [layer.kernel_size[0] for layer, _ in convolutions(UNet())]
    assert kernels == [3] * 10 + [2, 3, 3] * 4 + [3, 1]


def test_unet_joins_each_skip_of_the_same_size_behind_the_widened_features() -> None:
    model, inputs = UNet().eval(), []
    for pair in (*model.down, *model.up):
        pair.register_forward_hook(lambda _, args, output: inputs.append((args[0], output)))
    with torch.no_grad():
        model(torch.rand(1, 1, 128, 128))
    down, up = inputs[:4], inputs[4:]
    for (_, skip), (joined, _) in zip(down, reversed(up), strict=True):
        assert torch.equal(joined[:, joined.shape[1] // 2 :], skip)


def test_unet_drops_out_in_training_only() -> None:
    model, x = UNet(0.5), torch.rand(1, 1, 128, 128)
    with torch.no_grad():
        model.train()
        assert not torch.equal(model(x), model(x))
        model.eval()
        assert torch.equal(model(x), model(x))


def test_unet_weights_are_he_normal() -> None:
    weight = UNet().bottom.second.weight  # 256 x 256 x 3 x 3: enough to tell 4 %
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


def test_rced_has_the_ten_layers_of_the_paper() -> None:
    layers = [(layer.out_channels, layer.kernel_size) for layer, _ in convolutions(RCED())]
    filters = (12, 16, 20, 24, 32, 24, 20, 16, 12, 1)
    widths = (13, 11, 9, 7, 7, 7, 9, 11, 13, 129)
    contexts = (8, *[1] * 9)
    assert layers == [(f, (w, c)) for f, w, c in zip(filters, widths, contexts, strict=True)]


def test_rced_has_the_size_its_docstring_says() -> None:
    assert size(RCED()) == 32_765
    assert "32,765 parameters" in (RCED.__doc__ or "")


def test_rced_sees_seven_columns_back_and_none_ahead() -> None:
    model = RCED().eval()
    x = torch.rand(1, 1, 128, 128, requires_grad=True)
    model(x)[0, 0, :, 60].sum().backward()
    assert x.grad is not None
    seen = x.grad[0, 0].abs().sum(0).nonzero().flatten().tolist()
    assert seen == list(range(53, 61))


def test_rced_without_its_skips_gives_something_else() -> None:
    model, x = RCED().eval(), torch.rand(1, 1, 128, 128)
    plain = nn.Sequential(
        *(part for pair in zip(model.layers, model.norms, strict=True) for part in (*pair, nn.ReLU()))
    )
    with torch.no_grad():
        without = model.last(plain(nn.functional.pad(x, (7, 0, 0, 0), mode="replicate")))
        assert not torch.allclose(model(x), without, atol=1e-3)


@pytest.mark.parametrize("kind", ["unet", "rced"])
def test_attenuation_never_makes_anything_louder(kind: str) -> None:
    model, x = FrameNetwork(ModelConfig(kind=kind, output="attenuation")).eval(), torch.rand(2, 1, 128, 128)
    with torch.no_grad():
        assert (model(x) <= x).all()


def test_attenuation_is_the_gain_of_the_logit_in_db() -> None:
    model, x = FrameNetwork(ModelConfig(output="attenuation")).eval(), torch.rand(1, 1, 128, 128)
    with torch.no_grad():
        gain_db = 20 * torch.log10(torch.sigmoid(model.net(x).double()))
        assert torch.allclose(model(x).double(), x + gain_db / 80, atol=1e-6)


def test_magnitude_is_the_networks_own_output() -> None:
    model, x = FrameNetwork(ModelConfig(output="magnitude")).eval(), torch.rand(1, 1, 128, 128)
    with torch.no_grad():
        assert torch.equal(model(x), model.net(x))
