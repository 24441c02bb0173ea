"""The mutation run: reproducible, both theorems, every kind, every change caught or proved
harmless.
"""

from collections import Counter
from pathlib import Path

import pytest
import torch

from lib.__main__ import main
from lib.claims import _mutants, _mutation, mutation_run, read_report

# what `make test` and the book have found
REPORT = Path(__file__).resolve().parent.parent / "_build" / "mutants.json"


def test_the_list_is_reproducible_and_covers_everything():
    found = _mutants.mutants(0)
    assert found == _mutants.mutants(0) != _mutants.mutants(1)
    assert len(found) >= 200 and {m.theorem for m in found} == {"A", "B"}
    kinds = Counter(m.kind for m in found)
    networks = Counter(m.network for m in found)
    assert set(kinds) == set(_mutants.KINDS) and min(kinds.values()) >= 30
    assert set(networks) == set(_mutants.NETWORKS) and min(networks.values()) >= 20


@pytest.mark.parametrize("mutant", _mutants.mutants(0)[:54], ids=lambda m: f"{m.number}")
def test_a_mutant_differs_in_what_its_kind_says(mutant):
    before = _mutants.network(mutant.network).network.numbers()
    after = _mutants.mutate(mutant).numbers()
    for b, (old, new) in enumerate(zip(before, after)):
        if b != mutant.block:
            assert all(
                torch.equal(p.weight, q.weight) and torch.equal(p.bias, q.bias)
                for p, q in zip(old, new)
            )
    old, new = before[mutant.block], after[mutant.block]
    if mutant.kind == "remove a refinement level":
        assert len(new) < len(old) or mutant.network == "line, m=2"
        return
    p, q = old[mutant.layer], new[mutant.layer]
    weights = (p.weight != q.weight).sum()
    biases = (p.bias != q.bias).sum()
    if mutant.kind == "shift a bias by 1e-4":
        assert (
            weights == 0
            and biases == 1
            and float((q.bias - p.bias).abs().max()) == pytest.approx(1e-4)
        )
    elif mutant.kind == "swap two channels":
        there, back = mutant.row, mutant.entry
        assert torch.equal(p.weight[there], q.weight[back]) and torch.equal(
            p.bias[there], q.bias[back]
        )
    else:
        assert weights == 1 and biases == 0


def test_every_change_is_caught_or_proved_harmless():
    found = read_report(REPORT) or mutation_run()
    assert (found["seed"], found["count"]) == (0, _mutants.COUNT)
    assert found["score"] == 1, [r for r in found["mutants"] if r["outcome"] == "survived"]
    outcomes = Counter(r["outcome"] for r in found["mutants"])
    assert outcomes["caught"] > 0.85 * _mutants.COUNT and all(r["by"] for r in found["mutants"])


def test_the_score_can_fall(monkeypatch, capsys):
    """If nothing is noticed and nothing proved, all survive, and the command says so."""
    for name in ("noticed", "harmless", "hunted"):
        monkeypatch.setattr(_mutation, name, lambda m: None)
    monkeypatch.setattr("lib.convresnet.threads", lambda: 1)  # what is patched is here only
    assert main(["mutate", "--count", "6", "--quiet"]) == 1
    assert "6 survived; score 0.0 %" in capsys.readouterr().out


def test_an_honest_network_is_not_noticed():
    honest = [
        m
        for m in _mutants.mutants(0)
        if m.network == "line, m=2" and m.kind == "remove a refinement level"
    ]
    assert honest and all(
        _mutation.noticed(m) is None and _mutation.harmless(m) == "the same weights" for m in honest
    )
