"""The shipped figures themselves: dated, with a source, and of the size that such things have."""

import datetime

import pytest

from planner.schema.hardware import AcceleratorRow, Efficiencies, EfficiencyRow, ModelRow
from planner.store.hardware import hardware_table, model_table

FIRST, LAST = datetime.date(2026, 1, 1), datetime.date(2030, 1, 1)


@pytest.mark.parametrize("row", hardware_table().accelerators, ids=lambda row: row.name)
def test_an_accelerator_is_plausible_dated_and_has_a_source(row: AcceleratorRow) -> None:
    assert 10e9 <= row.memory_bytes <= 1e12
    assert 0.1e12 <= row.memory_bytes_per_s <= 20e12
    assert 50e12 <= row.dense_flops.bfloat16 <= 10e15
    assert 16e9 <= row.link_bytes_per_s <= 2e12
    assert row.board_power_w is None or 50 <= row.board_power_w <= 3000
    assert FIRST <= row.checked_on <= LAST
    assert "/" in row.source or "data sheet" in row.source or "paper" in row.source
    assert row.datasheet is None or row.datasheet.startswith("https://")
    # Bytes that a product must be worth: a figure with sparsity, or of another unit, falls out of this.
    assert 50 <= row.dense_flops.bfloat16 / row.memory_bytes_per_s <= 600


@pytest.mark.parametrize("row", hardware_table().accelerators, ids=lambda row: row.name)
def test_narrower_numbers_are_multiplied_twice_as_fast(row: AcceleratorRow) -> None:
    flops = row.dense_flops
    if flops.fp8 is not None:
        assert flops.fp8 / flops.bfloat16 == pytest.approx(2, rel=0.03)
    if flops.fp4 is not None and flops.fp8 is not None:
        assert 1.9 <= flops.fp4 / flops.fp8 <= 3.2


def test_links_are_as_fast_as_their_kind() -> None:
    for row in hardware_table().accelerators:
        assert (row.link == "pcie") == (row.link_bytes_per_s <= 128e9), row.name


def test_no_two_accelerators_go_by_the_same_name() -> None:
    names = [name.lower() for row in hardware_table().accelerators for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names)) >= 14


def test_there_is_a_row_for_every_efficiency() -> None:
    assert [row.name for row in hardware_table().efficiencies] == list(Efficiencies.model_fields)


@pytest.mark.parametrize("row", hardware_table().efficiencies, ids=lambda row: row.name)
def test_an_efficiency_has_a_range_a_source_and_a_day(row: EfficiencyRow) -> None:
    assert 0 < row.low < row.central < row.high
    assert row.high <= (1 if row.unit == "fraction" else 0.01 if row.unit == "s" else 10e9)
    assert FIRST <= row.checked_on <= LAST
    assert "assumed" in row.source or "github.com" in row.source


@pytest.mark.parametrize("row", model_table().models, ids=lambda row: row.shape.id)
def test_a_model_is_plausible_dated_and_has_a_source(row: ModelRow) -> None:
    shape = row.shape
    assert FIRST <= row.checked_on <= LAST
    assert row.source.startswith("github.com/")
    assert shape.attention_heads % shape.kv_heads == 0
    assert 10 <= shape.layers <= 200
    assert 500 <= shape.hidden_size <= 20_000
    assert shape.intermediate_size > 0 or shape.experts is not None
    assert shape.sliding_layers <= shape.layers


def test_no_two_models_go_by_the_same_name() -> None:
    names = [row.shape.id.partition("/")[2].lower() for row in model_table().models]
    assert len(names) == len(set(names)) >= 12
