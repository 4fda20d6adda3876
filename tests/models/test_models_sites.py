"""Names, globs and aliases; what a pass runs and what it leaves behind; reading and writing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from freud.errors import FreudError, UnknownNameError
from freud.models import Site
from freud.models.base import AudioModel


def names(sites: list[Site]) -> list[str]:
    return [site.name for site in sites]


def runs(modules: Any) -> tuple[list[int], list[Any]]:
    """Counts, by index, of how often each module has run, and the hooks that count."""
    counts = [0] * len(modules)

    def bump(index: int) -> Any:
        def hook(*_: Any) -> None:
            counts[index] += 1

        return hook

    return counts, [m.register_forward_pre_hook(bump(i)) for i, m in enumerate(modules)]


def hooks_left(model: Any) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.network.modules())


def test_what_a_site_knows(model: AudioModel) -> None:
    assert model.sites["encoder.blocks.1.mlp.1"] == Site(
        name="encoder.blocks.1.mlp.1",
        width=256,
        frames_per_second=50.0,
        privileged=True,
        writable=True,
        alias="model.encoder.layers.1.activation_fn",
        depth=1,
        residual=False,
    )
    assert [s.name for s in model.sites.values() if s.residual] == [
        *(f"encoder.blocks.{n}" for n in range(3)),
        *(f"decoder.blocks.{n}" for n in range(2)),
    ]
    assert all(site.privileged == name.endswith("mlp.1") for name, site in model.sites.items())
    assert all(site.writable != name.endswith("pattern") for name, site in model.sites.items())
    assert model.sites["decoder.blocks.0.cross_attn.key"].frames_per_second == 50.0  # made from encoder frames
    assert model.sites["decoder.blocks.0.cross_attn.query"].frames_per_second is None
    depths = [site.depth for site in model.sites.values()]
    assert depths == sorted(depths)


def test_a_star_is_one_part_of_a_name(model: AudioModel) -> None:
    blocks = [f"encoder.blocks.{n}" for n in range(3)]
    assert names(model.select(["encoder.blocks.*"])) == blocks
    assert names(model.select(["*.blocks.0"])) == ["encoder.blocks.0", "decoder.blocks.0"]
    assert names(model.select(["encoder.blocks.*.mlp.1"])) == [f"{block}.mlp.1" for block in blocks]
    assert names(model.select(["encoder.blocks.[12].attn.k?y"])) == [f"{block}.attn.key" for block in blocks[1:]]


def test_selection_is_in_data_flow_order_without_repeats(model: AudioModel) -> None:
    asked = ["encoder.ln_post", "encoder.blocks.1", "encoder.blocks.*", "encoder.blocks.0.mlp.1"]
    expected = [
        "encoder.blocks.0.mlp.1",
        "encoder.blocks.0",
        "encoder.blocks.1",
        "encoder.blocks.2",
        "encoder.ln_post",
    ]
    assert names(model.select(asked)) == expected


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("model.encoder.layers.1", "encoder.blocks.1"),
        ("encoder.layers.1", "encoder.blocks.1"),
        ("encoder.layers.*.self_attn.q_proj", "encoder.blocks.*.attn.query"),
        ("model.decoder.layers.0.encoder_attn", "decoder.blocks.0.cross_attn"),
        ("encoder.layer_norm", "encoder.ln_post"),
        ("encoder.layers.0.fc2", "encoder.blocks.0.mlp"),
    ],
)
def test_hugging_face_paths_are_aliases(model: AudioModel, alias: str, name: str) -> None:
    assert model.select([alias]) == model.select([name])


def test_aliases_are_paths_of_real_modules_that_compute_the_site(model: Any, mel: Tensor) -> None:
    tokens = torch.tensor([[1, 2], [3, 4]])
    sites = [site for site in model.sites.values() if site.alias and not site.alias.endswith(".input")]
    ours = model.activations(mel, sites, tokens=tokens)
    found: dict[str, Tensor] = {}
    hooks = []
    for site in sites:

        def keep(_: Any, __: Any, output: Any, name: str = site.name) -> None:
            found[name] = output[0] if isinstance(output, tuple) else output

        hooks.append(model.network.get_submodule(site.alias.removeprefix("model.")).register_forward_hook(keep))
    model.run(mel, tokens)
    for hook in hooks:
        hook.remove()
    for site in sites:
        assert torch.equal(found[site.name], ours[site.name]), site.name


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("encoder.block.1", "encoder.blocks.1"),
        ("encoder.blocks.7", "encoder.blocks.0 to .2"),
        ("nonsense", "decoder.blocks.0 to .1"),
        ("", "freud models"),
        ("encoder.blocks.*.mlp.2", "encoder.blocks"),
    ],
)
def test_an_unknown_site_says_what_exists(model: AudioModel, pattern: str, says: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        model.select(["encoder.blocks.0", pattern])
    assert repr(pattern) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_runs_after_the_deepest_site(model: Any, mel: Tensor) -> None:
    layers = [*model.encoder.layers, model.encoder.layer_norm, *model.network.decoder.layers]
    counts, hooks = runs([*layers, model.encoder.layers[1].fc1, model.encoder.layers[1].fc2])
    cases = {
        ("encoder.blocks.0",): [1, 0, 0, 0, 0, 0, 0, 0],
        ("encoder.blocks.1.mlp.1", "encoder.blocks.0"): [1, 1, 0, 0, 0, 0, 1, 0],
        ("encoder.blocks.1.attn", "encoder.blocks.1.attn.pattern"): [1, 1, 0, 0, 0, 0, 0, 0],
        ("encoder.blocks.2",): [1, 1, 1, 0, 0, 0, 1, 1],
        ("encoder.ln_post",): [1, 1, 1, 1, 0, 0, 1, 1],
        ("decoder.blocks.0",): [1, 1, 1, 1, 1, 0, 1, 1],
        (): [0, 0, 0, 0, 0, 0, 0, 0],
    }
    for sites, expected in cases.items():
        counts[:] = [0] * len(counts)
        found = model.activations(mel, sites, tokens=torch.zeros(2, 3, dtype=torch.long))
        assert list(found) == list(sites)
        assert counts == expected, sites
    for hook in hooks:
        hook.remove()


def test_one_pass_gives_what_separate_passes_give(model: AudioModel, mel: Tensor) -> None:
    asked = [
        "encoder.ln_post",
        "encoder.blocks.0.attn.pattern",
        "encoder.blocks.0.attn.value",
        "encoder.blocks.1",
    ]
    together = model.activations(mel, asked)
    assert list(together) == asked
    for name in asked:
        assert torch.equal(together[name], model.activations(mel, [name])[name])
        assert not together[name].requires_grad


def test_hooks_go_whatever_happens(model: Any, mel: Tensor) -> None:
    assert hooks_left(model) == 0
    model.activations(mel, ["encoder.blocks.0", "encoder.blocks.1.attn.pattern"])
    assert hooks_left(model) == 0

    def fail(_: Tensor) -> Tensor:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        model.hooked(read=["encoder.blocks.0"], write={"encoder.blocks.1": fail}),
    ):
        model.run(mel)
    assert hooks_left(model) == 0
    with pytest.raises(UnknownNameError), model.hooked(read=["encoder.blocks.0", "encoder.blocks.9"]):
        pass
    with pytest.raises(FreudError, match=r"read-only; write encoder\.blocks\.0\.attn\.heads"):  # noqa: SIM117
        with model.hooked(write={"encoder.blocks.0": fail, "encoder.blocks.0.attn.pattern": fail}):
            pass
    assert hooks_left(model) == 0


def test_writing_back_what_was_read_changes_nothing(model: AudioModel, mel: Tensor) -> None:
    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]])
    before = model.logits(mel, tokens)
    writable = {name: (lambda x: x) for name, site in model.sites.items() if site.writable}
    with model.hooked(write=writable):
        assert torch.equal(model.logits(mel, tokens), before)


def test_every_writable_site_reaches_what_comes_after(model: AudioModel, mel: Tensor) -> None:
    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]])
    before = model.logits(mel, tokens)
    generator = torch.Generator().manual_seed(6)
    for site in model.sites.values():
        if site.writable:
            with model.hooked(write={site.name: lambda x: x + torch.randn(x.shape, generator=generator)}):
                assert not torch.allclose(model.logits(mel, tokens), before), site.name
    assert torch.equal(model.logits(mel, tokens), before)


def test_a_write_moves_later_sites_by_what_it_added(model: AudioModel, mel: Tensor) -> None:
    reads = ["encoder.blocks.0", "encoder.blocks.1.attn.heads", "encoder.blocks.1"]
    plain = model.activations(mel, reads)
    with model.hooked(read=reads, write={"encoder.layers.1.self_attn": torch.zeros_like}) as found:
        model.run(mel)
    assert torch.equal(found["encoder.blocks.0"], plain["encoder.blocks.0"])  # before the write
    assert torch.equal(found["encoder.blocks.1.attn.heads"], plain["encoder.blocks.1.attn.heads"])
    assert not torch.allclose(found["encoder.blocks.1"], plain["encoder.blocks.1"])


def test_a_read_sees_the_write_at_its_site(model: AudioModel, mel: Tensor) -> None:
    for name in ["encoder.blocks.1", "encoder.blocks.1.attn.heads"]:
        with model.hooked(read=[name], write={name: torch.ones_like}) as found:
            model.run(mel)
        assert bool((found[name] == 1).all())
    with model.hooked(
        read=["encoder.blocks.0.attn.pattern"], write={"encoder.blocks.0.attn.query": torch.zeros_like}
    ) as found:
        model.run(mel)
    torch.testing.assert_close(found["encoder.blocks.0.attn.pattern"], torch.full((2, 4, 100, 100), 0.01))


def test_a_write_must_keep_the_shape(model: AudioModel, mel: Tensor) -> None:
    with (
        pytest.raises(FreudError, match=r"encoder\.blocks\.0 returned \(2, 99, 64\) for \(2, 100, 64\)"),
        model.hooked(write={"encoder.blocks.0": lambda x: x[:, 1:]}),
    ):
        model.run(mel)


def test_the_outer_block_goes_on_when_an_inner_one_stops(model: AudioModel, mel: Tensor) -> None:
    with model.hooked(write={"encoder.blocks.0": torch.zeros_like}):
        inner = model.activations(mel, ["encoder.blocks.0"])
        assert bool((inner["encoder.blocks.0"] == 0).all())
    with model.hooked(read=["encoder.blocks.0"], stop=True) as outer:
        model.activations(mel, ["encoder.blocks.2"])
        raise AssertionError("the outer block must have ended")
    assert list(outer) == ["encoder.blocks.0"]


@pytest.mark.parametrize(
    ("shape", "tokens", "says"),
    [
        ((2, 80, 199), None, r"takes mel of shape \[batch, 80, 200\], not \[2, 80, 199\]"),
        ((80, 200), None, r"not \[80, 200\]"),
        ((2, 80, 200), torch.zeros(1, 3, dtype=torch.long), r"tokens must be \[2, 1 to 64\]"),
        ((2, 80, 200), torch.zeros(2, 65, dtype=torch.long), r"not \[2, 65\]"),
        ((2, 80, 200), torch.full((2, 1), 500), "whole numbers from 0 to 499"),
        ((2, 80, 200), torch.zeros(2, 1), "whole numbers"),
    ],
)
def test_wrong_shapes_are_one_clear_line(
    model: AudioModel, shape: tuple[int, ...], tokens: Tensor | None, says: str
) -> None:
    site = "encoder.blocks.0" if tokens is None else "decoder.blocks.0"
    with pytest.raises(FreudError, match=says):
        model.activations(torch.zeros(shape), [site], tokens=tokens)


def test_a_decoder_site_needs_tokens(model: AudioModel, mel: Tensor) -> None:
    with pytest.raises(FreudError, match=r"decoder\.ln needs tokens"):
        model.activations(mel, ["encoder.blocks.0", "decoder.ln"])
