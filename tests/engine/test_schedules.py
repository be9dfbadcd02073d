import math

import pytest

from flowvae import registry


def build(**spec):
    return registry.build("schedule", spec)


def test_warmup_rises_linearly_and_then_hands_over():
    constant = build(name="constant", warmup=0.5)
    assert [constant(step, 8, 80) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_cosine_ends_at_final_whatever_the_warmup():
    cosine = build(name="cosine", warmup=2, final=0.1)
    assert cosine(20, 10, 100) == pytest.approx(1.0)
    assert cosine(60, 10, 100) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2)
    assert cosine(100, 10, 100) == pytest.approx(0.1)
    assert cosine(120, 10, 100) == pytest.approx(0.1)


def test_step_decays_every_so_many_epochs():
    step = build(name="step", every=2, decay=0.1)
    assert [step(n, 5, 100) for n in (0, 9, 10, 19, 20)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_plateau_decays_after_waiting_and_resumes_where_it_was():
    plateau = build(name="plateau", decay=0.5, wait=2, floor=0.2)
    factors = []
    for elbo in (-100, -90, -95, -91, -80, -80, -80, -80, -80, -80, -80):
        plateau.observe(elbo)
        other = build(name="plateau", decay=0.5, wait=2, floor=0.2)
        other.load_state_dict(plateau.state_dict())
        plateau = other
        factors.append(plateau(0, 10, 100))
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_plateau_ignores_gains_within_its_margin():
    plateau = build(name="plateau", wait=1, margin=1.0)
    for elbo in (-100, -99.5):
        plateau.observe(elbo)
    assert plateau(0, 10, 100) == 0.5
