"""The tables that the package ships: accelerators, what engines reach of their figures, and shapes of models."""

from functools import cache
from pathlib import Path

from planner.schema.hardware import HardwareTable, ModelTable
from planner.store.documents import load_document
from planner.store.validate import read_model

_SHIPPED = Path(__file__).parent / "shipped"


@cache
def hardware_table() -> HardwareTable:
    """Accelerators and efficiencies, each with source and date.

    Example:
        >>> hardware_table().accelerators[0].name
        'H100 SXM'
    """
    return read_model(load_document(_SHIPPED / "hardware.yaml"), HardwareTable, "hardware")


@cache
def model_table() -> ModelTable:
    """Shapes of a few models, each with source and date."""
    return read_model(load_document(_SHIPPED / "models.yaml"), ModelTable, "models")
