"""Everything that lives on disk, as pydantic models."""
