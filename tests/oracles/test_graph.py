"""The graph against what is known of it: independence, full covariance, and sums over all graphs."""

from itertools import product as combinations
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from flowvae import InputError, build_model, registry
from flowvae.latents import FromPosterior, FromPrior, Given
from flowvae.latents.gating import LearnedGates, log_probability
from flowvae.latents.graph import Graph
from flowvae.model import VAE
from flowvae.objectives import ELBO
from flowvae.posteriors import Flowed
from tests.laws.catalogue import generic

FEATURES = 5


def graph(**options: Any) -> Graph:
    return generic(registry.build("latents", {"name": "graph", "nodes": 3, "dim": 2} | options, FEATURES))


def terms(latents: Graph, h: Tensor) -> list[Tensor]:
    """Decoder's input and the densities of every node, under noise that depends on the node alone."""

    def noise(n: int, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(n)).double()

    c, found = latents.walk(FromPosterior(noise), h, torch.Size((2, *h.shape[:-1])))
    return [c, *(t for latent in found for t in (latent.log_q, latent.log_p))]


@pytest.mark.parametrize("flow", [None, {"name": "iaf", "width": 8, "steps": 1}])
def test_with_all_gates_shut_the_nodes_are_independent(flow: Any) -> None:
    """Each p(z_n) is then the constant that its network makes of zeros."""
    shared = {"root": "gaussian", "fuse_root": True, "posterior": {"name": "fused", "width": 8, "flow": flow}}
    gated, apart = graph(**shared, gates="straight_through"), graph(**shared, edges="none")
    gated.gates.structure.zero_()
    gated.gates.frozen = True
    apart.posteriors.load_state_dict(gated.posteriors.state_dict())
    apart.priors[0].load_state_dict(gated.priors[0].state_dict())
    for alone, prior, parents in zip(apart.priors[1:], gated.priors[1:], gated.parents[1:], strict=True):
        alone.net.value.data = prior.net(torch.zeros(2 * len(parents)).double()).detach()
    h = torch.randn(4, FEATURES).double()
    assert_close(terms(gated, h), terms(apart, h), rtol=0, atol=1e-12)
    gated.gates.structure[1] = 1
    assert (terms(gated, h)[-1] - terms(apart, h)[-1]).abs().max() > 1e-3


@pytest.mark.parametrize("fuse_root", [False, True])
def test_the_posterior_is_what_the_datum_and_the_parents_say_together(fuse_root: bool) -> None:
    """Precisions add and weigh the means; a root hears the datum alone unless it is told otherwise."""
    nodes = graph(gates="open", root="gaussian", fuse_root=fuse_root)
    h = torch.randn(4, FEATURES).double()
    _, found = nodes.walk(FromPosterior(), h, torch.Size((2, 4)))
    for n, (latent, posterior) in enumerate(zip(found, nodes.posteriors, strict=True)):
        alone = posterior(h, None)
        own, prior = 1 / alone.variance, 1 / latent.p.variance
        if n == 0 and not fuse_root:
            prior = torch.zeros_like(prior)
        assert_close(latent.q.variance, 1 / (own + prior), rtol=1e-9, atol=0)
        expected = (own * alone.mean + prior * latent.p.mean) / (own + prior)
        assert_close(latent.q.mean, expected, rtol=1e-9, atol=1e-12)


def test_a_gate_is_that_of_its_edge() -> None:
    """With one gate open, only its child moves with its parent."""
    nodes = graph(gates="score")
    h, z = torch.randn(1, FEATURES).double(), torch.randn(3, 1, 1, 2).double()
    nodes.gates.frozen = True
    for e, (parent, child) in enumerate(nodes.edges):
        nodes.gates.structure.zero_()[e] = 1
        moved = set()
        for m in range(3):
            changed = z.clone()
            changed[m] += 1
            pairs = zip(*(nodes.walk(Given(list(zs)), h, torch.Size((1, 1)))[1] for zs in (z, changed)), strict=True)
            moved |= {(m, n) for n, (a, b) in enumerate(pairs) if not a.p.mean.equal(b.p.mean)}
        assert moved == {(parent, child)}


def test_full_covariance_is_a_fully_connected_linear_graph() -> None:
    """z = mu + L eps is z_n ~ N(mu_n + L_n< L_<<^-1 (z_< - mu_<), L_nn^2), coordinate by coordinate."""
    dim = 4
    flat = generic(registry.build("prior", {"name": "gaussian", "family": "full"}, (dim,), 0))
    linear = {"name": "gaussian", "depth": 0}
    nodes = graph(nodes=dim, dim=1, gates="open", prior=linear, root=linear)
    p = flat(torch.zeros(0).double())
    mu, scale = p.loc.detach(), p.scale_tril.detach()
    for n, prior in enumerate(nodes.priors):
        regression = torch.linalg.solve(scale[:n, :n].T, scale[n, :n]) if n else scale[n, :n]
        spread = torch.log(torch.expm1(scale[n, n])) - torch.log(torch.expm1(torch.ones(()).double()))
        constant = torch.stack([mu[n] - regression @ mu[:n], spread])
        if n == 0:
            prior.net.value.data = constant
        else:
            prior.net[0].weight.data = torch.stack([regression, torch.zeros(n).double()])
            prior.net[0].bias.data = constant
    eps = torch.randn(7, dim).double()
    _, found = nodes.walk(FromPrior(noise=lambda n, shape: eps[:, n : n + 1]), None, torch.Size((7,)))
    z, log_p = p.expand((7,)).from_noise(eps)
    assert_close(torch.cat([latent.z for latent in found], -1), z, rtol=0, atol=1e-8)
    assert_close(sum(latent.log_p for latent in found), log_p, rtol=0, atol=1e-8)
    h = torch.randn(7, FEATURES).double()
    _, scored = nodes.walk(Given([z[:, n : n + 1] for n in range(dim)]), h, torch.Size((7,)))
    assert_close(sum(latent.log_p for latent in scored), p.log_prob(z), rtol=0, atol=1e-8)


def test_a_given_graph_has_the_edges_it_is_given() -> None:
    """A node moves with its parents, by every sample of theirs, and with nothing else."""
    nodes = graph(nodes=4, edges=[(0, 2), (1, 3), (2, 3)], gates="open")
    z = torch.randn(4, 1, 1, 2).double()
    h = torch.randn(1, FEATURES).double()

    def priors(z: Tensor) -> list[Tensor]:
        return [latent.p.mean for latent in nodes.walk(Given(list(z)), h, torch.Size((1, 1)))[1]]

    still = priors(z)
    for moved, children in enumerate([{2}, {3}, {3}, set()]):
        changed = z.clone()
        changed[moved] += 1
        seen = {n for n, (a, b) in enumerate(zip(priors(changed), still, strict=True)) if not a.equal(b)}
        assert seen == children


def test_orders_and_candidates() -> None:
    assert graph(edges="chain").edges == [(0, 1), (1, 2)]
    back = graph(order="reversed")
    assert (back.edges, back.parents) == ([(2, 1), (2, 0), (1, 0)], [[], [0], [0, 1]])
    assert graph(edges="none", visible="last").out_shape == (2,)
    assert graph(edges=[(0, 1)]).parents == [[], [0], []], "the last one may be a root"
    with pytest.raises(InputError, match=r"got \[2, 1\]: turn it round"):
        graph(edges=[(2, 1)])
    for edge in ([1, 1], [0, 3]):
        with pytest.raises(InputError, match=r"counted from 0 .*: choose two different ones of them"):
            graph(edges=[edge])
    for edges in ("tree", [[0, 1, 2]], [[0, -1]], 3):
        with pytest.raises(InputError, match=r"^latents\.edges: expected 'all', .* or a list of pairs"):
            graph(edges=edges)
    (option,) = (option for option in registry.options("latents", "graph") if option.name == "edges")
    assert option.type == "list | 'all' | 'chain' | 'none'"
    with pytest.raises(InputError, match=r"nodes: .*1000; got 10000000"):
        registry.build("latents", {"name": "graph", "nodes": 10**7}, 3)
    with pytest.raises(InputError, match="expected a flow to share"):
        graph(shared_flow=True)
    for roots in ({}, {"edges": [(0, 1)], "root": "gaussian"}):
        with pytest.raises(InputError, match="one without parameters"):
            graph(prior="standard", **roots)
    with pytest.raises(InputError, match="expected a posterior that reads the prior, for fuse_root"):
        graph(fuse_root=True, posterior={"name": "gaussian", "flow": "planar"})
    shared = graph(shared_flow=True, posterior={"flow": {"name": "iaf", "width": 8}})
    flowed = [module for module in shared.modules() if isinstance(module, Flowed)]
    assert len({id(module.flow) for module in flowed}) == 1
    assert len({id(module.context) for module in flowed}) == 3


@pytest.mark.parametrize(("visible", "seen"), [("all", [0, 0, 10, 10, 20, 20]), ("last", [0, 0])])
def test_the_decoder_sees_the_nodes_by_their_number_or_the_last_visited(visible: str, seen: list[int]) -> None:
    nodes = graph(order="reversed", visible=visible)
    zs = [torch.full((1, 1, 2), 10.0 * n).double() for n in (2, 1, 0)]
    c, _ = nodes.walk(Given(zs), torch.randn(1, FEATURES).double(), torch.Size((1, 1)))
    assert c.flatten().tolist() == seen


# --- sums over all graphs --------------------------------------------------------------------------------------------

MU = torch.tensor([0.3, 0.6, 0.5], dtype=torch.float64)


def gated(gates: dict[str, Any]) -> VAE:
    """A model of three nodes and three edges whose priors depend strongly on their parents."""
    latents = {"name": "graph", "nodes": 3, "dim": 1, "gates": {"per": "datum"} | gates, "posterior": {"width": 6}}
    torch.manual_seed(4)
    model = generic(
        build_model({"encoder": {"width": 6}, "latents": latents, "likelihood": {"decoder": {"width": 6}}}, (4,))
    )
    for prior in model.latents.priors[1:]:
        prior.net[0].weight.data.mul_(3)
    model.latents.gates.logits.data = torch.logit(MU)
    return model.train()


X = torch.tensor([[0.0, 1, 1, 0], [1, 0, 1, 1]], dtype=torch.float64)


def noise(n: int, shape: torch.Size) -> Tensor:
    """The same for all samples of a datum, so that the loss is a function of the graph alone."""
    return torch.randn(shape[1:], generator=torch.Generator().manual_seed(n)).double().expand(shape)


def estimate(model: VAE, samples: int) -> Tensor:
    """Value and gradient of the loss in the logits, from that many drawn graphs a datum: ``(1 + E,)``."""
    trace = model(X, samples, FromPosterior(noise))
    loss = ELBO(kl="monte-carlo")(trace)
    total = loss + model.latents.surcharge(trace.log_w, trace.latents)
    (slope,) = torch.autograd.grad(total, model.latents.gates.logits)
    return torch.cat([loss.detach()[None], slope])


def exact(model: VAE) -> Tensor:
    """The same by the sum over all 2^E graphs of p(c) loss(c)."""
    gates = model.latents.gates
    assert isinstance(gates, LearnedGates)
    total: Tensor | float = 0.0
    for graph in combinations((0.0, 1.0), repeat=3):
        c = torch.tensor(graph, dtype=torch.float64)
        gates.structure, gates.frozen = c, True
        loss = ELBO(kl="monte-carlo")(model(X, 1, FromPosterior(noise))).detach()
        total = total + log_probability(c, gates.logits).exp() * loss
    gates.frozen = False
    (slope,) = torch.autograd.grad(total, gates.logits)
    return torch.cat([total.detach()[None], slope])


def repeated(model: VAE, samples: int = 2000, times: int = 25) -> tuple[Tensor, Tensor]:
    """The mean of independent estimates, and its standard error."""
    found = torch.stack([estimate(model, samples) for _ in range(times)])
    return found.mean(0), found.std(0) / times**0.5


@pytest.mark.parametrize("gates", [{"name": "score"}, {"name": "score", "memory": 0.0}])
def test_the_score_function_is_unbiased(gates: dict[str, Any]) -> None:
    model = gated(gates)
    estimate(model, 10)  # the first step teaches the baseline
    mean, error = repeated(model)
    truth = exact(model)
    assert truth[1:].norm() > 20 * error[1:].norm(), "no gradient to find"
    assert ((mean - truth).abs() < 4.5 * error + 1e-9).all()


def test_the_first_step_teaches_the_baseline_only() -> None:
    """A graph for all or one a datum: there is no past yet to compare with."""
    for per in ("batch", "datum"):
        gates = gated({"name": "score", "per": per}).latents.gates
        drawn, log_w = torch.eye(2, 3).double()[None], torch.tensor([[1.0, 2.0]], dtype=torch.float64)
        for known in (False, True):
            loss = gates.surcharge(drawn, log_w)
            (slope,) = torch.autograd.grad(loss, gates.logits)
            assert slope.any() == (known and per == "datum")  # the mean of a batch is its baseline again
        assert gates.baseline == 1.5


def test_a_baseline_lowers_the_variance() -> None:
    model = gated({"name": "score"})
    estimate(model, 10)
    _, with_baseline = repeated(model)
    model.latents.gates.baseline.zero_()
    model.latents.gates.memory = 1.0
    _, without = repeated(model)
    assert with_baseline[1:].norm() < 0.9 * without[1:].norm()


def test_a_batch_that_is_not_finite_teaches_the_baseline_nothing() -> None:
    """Its step is left out, and the next one is as if it had not been."""
    model = gated({"name": "score"})
    gates = model.latents.gates
    for known in (False, True):
        kept = gates.baseline.item(), gates.steps.item()
        gates.surcharge(torch.ones(1, 2, 3).double(), torch.tensor([[-3.0, torch.nan]]).double())
        assert (gates.baseline.item(), gates.steps.item()) == kept
        assert known is (kept[1] > 0)
        assert estimate(model, 10).isfinite().all()


def test_straight_through_has_the_value_and_the_exact_gradient_of_what_is_linear_in_each_gate() -> None:
    model = gated({"name": "straight_through"})
    mean, error = repeated(model)
    assert ((mean - exact(model)).abs() < 4.5 * error)[0]
    gates = model.latents.gates

    def loss(c: Tensor) -> Tensor:
        a, b, d = c.unbind(-1)
        return a - 2 * b * d + 0.5 * a * b * d

    mu = gates.means.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(mu), mu)  # E loss(c) = loss(mu) where it is linear in each
    found = []
    for _ in range(25):
        (one,) = torch.autograd.grad(loss(gates(torch.Size((4000,)))).mean(), gates.logits)
        found.append(one)
    slopes = torch.stack(found)
    assert ((slopes.mean(0) - slope * mu.detach() * (1 - mu.detach())).abs() < 4.5 * slopes.std(0) / 5).all()


def test_the_relaxation_comes_to_the_exact_value_and_gradient_as_it_cools() -> None:
    truth = exact(gated({"name": "relaxed"}))
    warm, cool = (
        repeated(gated({"name": "relaxed", "temperature": tau, "floor": tau}))[0] - truth for tau in (1.0, 0.1)
    )
    assert cool[0].abs() < 0.03 * truth[0]
    assert cool[1:].norm() < 0.1 * truth[1:].norm()
    assert warm[0].abs() > 5 * cool[0].abs()
    assert warm[1:].norm() > 5 * cool[1:].norm()


def test_a_price_is_paid_for_each_expected_edge() -> None:
    priced, free = (gated({"name": "straight_through", "price": price}) for price in (0.5, 0.0))
    charges = []
    for model in (priced, free):
        trace = model(X, 1, FromPosterior(noise))
        charges.append(model.latents.surcharge(trace.log_w, trace.latents))
    assert_close(charges[0] - charges[1], 0.5 * MU.sum(), rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(charges[0], priced.latents.gates.logits)
    assert_close(slope, 0.5 * MU * (1 - MU), rtol=1e-10, atol=1e-12)


# --- gates of their own ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relaxed", "straight_through", "score"])
@pytest.mark.parametrize("per", ["batch", "datum"])
def test_gates_have_their_means(name: str, per: str) -> None:
    gates: LearnedGates = registry.build("gates", {"name": name, "per": per}, 3).double()
    gates.logits.data = torch.logit(MU)
    batch = torch.Size((5, 7))
    drawn = torch.stack([gates(batch) for _ in range(4000 if per == "batch" else 200)])
    assert drawn.shape[1:] == ((3,) if per == "batch" else (5, 7, 3))
    on = (drawn > 0.5).double().flatten(0, -2)
    assert ((on.mean(0) - MU).abs() < 4.5 * (MU * (1 - MU) / len(on)).sqrt()).all()


def test_frozen_gates_are_the_likely_graph_and_survive_a_save() -> None:
    gates: LearnedGates = registry.build("gates", {"name": "relaxed", "threshold": 0.4}, 3).double()
    gates.logits.data = torch.logit(MU)
    gates.freeze()
    assert gates(torch.Size((2,))).tolist() == [0, 1, 1]
    again: LearnedGates = registry.build("gates", "relaxed", 3).double()
    again.load_state_dict(gates.state_dict())
    assert again.frozen
    again.logits.data.neg_()  # learned values no longer matter
    assert again(torch.Size((2,))).tolist() == again.likely().tolist() == [0, 1, 1]
    again.freeze(False)
    assert again(torch.Size((2,))).unique().numel() == 3


def test_settled_gates_are_drawn_by_their_means_and_left_as_they_were() -> None:
    gates: LearnedGates = registry.build("gates", "score", 3).double().eval()
    gates.logits.data = torch.logit(MU)
    generator, drawn = torch.Generator().manual_seed(0), []
    for _ in range(2000):
        with gates.settled(generator):
            drawn.append(gates(torch.Size((4,))).clone())
    mean = torch.stack(drawn).mean(0)
    assert ((mean - MU).abs() < 4.5 * (MU * (1 - MU) / 2000).sqrt()).all()
    assert not gates.frozen
    assert gates(torch.Size((4,))).tolist() == [0, 1, 1]


def test_temperature_falls_by_the_epoch_to_its_floor() -> None:
    gates = registry.build("gates", {"name": "relaxed", "temperature": 2.0, "decay": 0.5, "floor": 0.3}, 3)
    found: list[float] = []
    for epochs in (0.0, 1.0, 1.5, 9.0):
        gates.anneal(epochs)
        found.append(gates.tau.item())
    assert found == pytest.approx([2.0, 1.0, 2 * 0.5**1.5, 0.3])
    with pytest.raises(InputError, match=r"floor of at most latents\.gates\.temperature = 0\.05; got 0\.1: lower it"):
        registry.build("gates", {"name": "relaxed", "temperature": 0.05}, 3)
